#include "runtime/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "base/fd.h"
#include "oci/runtime_helper.h"

namespace holdfast {

namespace {

constexpr int kEndMillisecondsMax = 5000;  // to put things right, when it is told to end
constexpr size_t kAnswerBytesMax = 2048;
constexpr int kCannotStart = 127;

// To the numbers that oci/runtime_helper.h says; all others are closed. Async-signal-safe.
bool PlaceDescriptors(int answer, bool with_streams) {
  constexpr int kAside = 100;
  const int aside = ::fcntl(answer, F_DUPFD, kAside);
  std::array<int, 3> streams{};
  for (int number = 0; number < 3; ++number) {
    streams[static_cast<size_t>(number)] = with_streams ? ::fcntl(number, F_DUPFD, kAside) : -1;  // or closed
  }
  const int opened = ::open("/dev/null", O_RDWR);
  const int null = ::fcntl(opened, F_DUPFD, kAside);  // out of the way of the numbers that are given out
  if (aside < 0 || null < 0) return false;
  for (int number = 0; number < 3; ++number) {
    const int stream = streams[static_cast<size_t>(number)];
    if (::dup2(stream < 0 ? null : stream, kStreamDescriptors[static_cast<size_t>(number)]) < 0) return false;
  }
  if (::dup2(aside, kAnswerDescriptor) < 0) return false;
  for (int number = 0; number < 3; ++number) {
    if (::dup2(null, number) < 0) return false;
  }
  return ::syscall(SYS_close_range, kStreamDescriptors.back() + 1, ~0U, 0) == 0;
}

[[noreturn]] void RunChild(const HelperCall& call, char* const* arguments, int answer, pid_t parent) {
  for (int signal = 1; signal < SIGRTMIN; ++signal)
    ::signal(signal, SIG_DFL);  // a crash is no reason to call runc here
  if (!call.outlives_us) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(kCannotStart);
  }
  if (PlaceDescriptors(answer, call.takes_streams)) ::execve(call.program.c_str(), arguments, environ);
  ::_exit(kCannotStart);
}

bool HasEnded(int pidfd, int milliseconds) {
  pollfd waiting{.fd = pidfd, .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&waiting, 1, milliseconds);
  } while (ready < 0 && errno == EINTR);
  return ready == 1;
}

// Never longer than the pipe has something: others may keep its other end open.
std::string ReadAnswer(int pipe) {
  std::string text(kAnswerBytesMax, '\0');
  const ssize_t bytes = ::read(pipe, text.data(), text.size());
  text.resize(bytes < 0 ? 0 : static_cast<size_t>(bytes));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string Ending(int status) {
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "ended with status " + std::to_string(WEXITSTATUS(status));
}

HelperAnswer Understand(const HelperCall& call, std::string_view text, int status) {
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  if (word == answer::kDone || word == answer::kPassOn)
    return {word == answer::kDone, std::string(text), true};
  return {false, call.program + " " + Ending(status) + " without an answer"};
}

HelperAnswer Failed(const std::string& what) {
  return {false, what + ": " + strerror(errno)};
}

}  // namespace

HelperAnswer CallHelper(const HelperCall& call) {
  std::vector<char*> arguments;
  arguments.push_back(const_cast<char*>(call.program.c_str()));
  for (const std::string& argument : call.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return Failed("pipe");
  const Fd reads(ends[0]);
  Fd writes(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return Failed("fork");
  if (child == 0) RunChild(call, arguments.data(), writes.get(), parent);
  writes.Reset();
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!pidfd.valid()) {
    HelperAnswer answer = Failed("pidfd_open");
    ::kill(child, SIGKILL);
    return answer;
  }
  bool late = !HasEnded(pidfd.get(), call.milliseconds);
  if (late) {
    ::kill(child, SIGTERM);
    if (!HasEnded(pidfd.get(), kEndMillisecondsMax)) ::kill(child, SIGKILL);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const std::string text = ReadAnswer(reads.get());
  if (late && text.empty()) return {false, call.program + " took too long"};
  return Understand(call, text, status);
}

}  // namespace holdfast
