#include "runtime/last_resort.h"

#include <unistd.h>

#include <cerrno>

namespace holdfast {

namespace {

constexpr size_t kStackBytes = 64 * 1024;

}  // namespace

LastResort* LastResort::current_ = nullptr;

LastResort::LastResort(std::string program, char* const* argv, int milliseconds)
    : program_(std::move(program)), stack_(std::make_unique<char[]>(kStackBytes)) {
  arguments_.push_back(program_.data());
  for (char* const* next = argv[0] != nullptr ? argv + 1 : argv; *next != nullptr; ++next)
    arguments_.push_back(*next);
  arguments_.push_back(nullptr);

  // A stack of its own: the overflow of the usual one is a crash, too.
  stack_t stack{};
  stack.ss_sp = stack_.get();
  stack.ss_size = kStackBytes;
  ::sigaltstack(&stack, &old_stack_);

  current_ = this;
  struct sigaction action {};
  action.sa_handler = &LastResort::Handle;
  action.sa_flags = SA_ONSTACK;
  sigset_t ours;
  ::sigemptyset(&ours);
  for (size_t index = 0; index < kSignals.size(); ++index) {
    ::sigaction(kSignals[index], &action, &actions_[index]);
    ::sigaddset(&ours, kSignals[index]);
  }
  ::sigprocmask(SIG_UNBLOCK, &ours, &old_mask_);

  // A timer of this kind ends with an exec (timer_create(2)), unlike alarm(2) and setitimer(2), which runc
  // would inherit.
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  timed_ = ::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  if (!timed_) return;
  itimerspec when{};
  when.it_value.tv_sec = milliseconds / 1000;
  when.it_value.tv_nsec = (milliseconds % 1000) * 1'000'000L;
  ::timer_settime(timer_, 0, &when, nullptr);
}

LastResort::~LastResort() {
  PutBack();
  if (timed_) ::timer_delete(timer_);
  current_ = nullptr;
}

void LastResort::PutBack() {
  const itimerspec never{};
  if (timed_) ::timer_settime(timer_, 0, &never, nullptr);  // timer_delete is not safe in a handler
  for (size_t index = 0; index < kSignals.size(); ++index)
    ::sigaction(kSignals[index], &actions_[index], nullptr);
  ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
  ::sigaltstack(&old_stack_, nullptr);
}

void LastResort::Handle(int signal) {
  LastResort* const resort = current_;
  resort->PutBack();
  ::execve(resort->program_.c_str(), resort->arguments_.data(), environ);
  ::_exit(128 + signal);
}

}  // namespace holdfast
