#include "job/signal_fence.h"

#include <ctime>
#include <initializer_list>

namespace holdfast {

SignalFence::SignalFence() {
  sigfillset(&held_);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGCHLD, SIGPIPE,
                          SIGTTIN, SIGTTOU, SIGURG}) {
    sigdelset(&held_, fault);
  }
  pthread_sigmask(SIG_BLOCK, &held_, &mask_before_);
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, &pipe_before_);
  action.sa_handler = SIG_DFL;  // an inherited SIG_IGN would make children vanish unwaited
  sigaction(SIGCHLD, &action, &child_before_);
}

SignalFence::~SignalFence() {
  const timespec at_once{};
  while (sigtimedwait(&held_, nullptr, &at_once) > 0) {
  }
  RestoreInChild();
}

void SignalFence::HoldChildSignal() {
  sigaddset(&held_, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &held_, nullptr);
}

bool SignalFence::StopRequested() {
  sigset_t pending{};
  return sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1 ||
          sigismember(&pending, SIGHUP) == 1);
}

void SignalFence::RestoreInChild() const {
  sigaction(SIGPIPE, &pipe_before_, nullptr);
  sigaction(SIGCHLD, &child_before_, nullptr);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

}  // namespace holdfast
