#include "linux/subprocess.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "linux/pidfd.h"

namespace holdfast {
namespace {

constexpr int kExitCannotStart = 127;

// What the child needs, made before the fork: after it only async-signal-safe calls are allowed, since our
// process has threads.
struct Prepared {
  std::vector<char*> arguments;
  std::vector<std::string> environment_text;
  std::vector<char*> environment;
  std::vector<std::pair<int, int>> descriptors;
  int output = -1;
  bool outlives_us = false;
  Fd namespaces;
  int namespace_kinds = 0;
};

Prepared Prepare(const SpawnOptions& options) {
  Prepared prepared;
  for (const std::string& argument : options.arguments)
    prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
  prepared.arguments.push_back(nullptr);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                      [&](const auto& added) { return text.starts_with(added.first + "="); });
    if (!replaced) prepared.environment_text.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment)
    prepared.environment_text.push_back(name + "=" + value);
  for (std::string& text : prepared.environment_text) prepared.environment.push_back(text.data());
  prepared.environment.push_back(nullptr);
  prepared.descriptors = options.descriptors;
  prepared.output = options.output;
  prepared.outlives_us = options.outlives_us;
  prepared.namespace_kinds = CLONE_NEWPID | CLONE_NEWNS | (options.enter_network ? CLONE_NEWNET : 0);
  return prepared;
}

// The same file, through the mounts of the namespace that we are in now: a descriptor from another mount
// namespace would be one that nobody there can name. What is no file stays as it is.
void ReopenHere(int fd) {
  char link[32] = "/proc/self/fd/";
  char* digits = link + strlen(link);
  for (int scale = 1000; scale > 0; scale /= 10) *digits++ = static_cast<char>('0' + fd / scale % 10);
  char path[4096];
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return;
  path[length] = 0;
  const int flags = fcntl(fd, F_GETFL);
  const int here = open(path, (flags & (O_ACCMODE | O_APPEND)) | O_CLOEXEC | O_NOCTTY);
  if (here < 0) return;
  dup3(here, fd, O_CLOEXEC);
  close(here);
}

// Descriptors to numbers above every target first, so that no move overwrites a source.
bool PlaceDescriptors(const Prepared& prepared) {
  constexpr int kAside = 1000;  // four digits: ReopenHere counts on it
  int next = kAside;
  for (const auto& [ours, target] : prepared.descriptors) next = std::max(next, ours + 1);
  const int first = next;
  for (const auto& [ours, target] : prepared.descriptors) {
    if (dup3(ours, next, O_CLOEXEC) < 0) return false;
    if (prepared.namespaces.valid()) ReopenHere(next);
    ++next;
  }
  const int null = open("/dev/null", O_RDWR);
  const int output = prepared.output >= 0 ? prepared.output : null;
  if (null < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(null, 0) < 0) return false;
  syscall(SYS_close_range, 3, first - 1, 0);
  syscall(SYS_close_range, next, ~0u, 0);
  next = first;
  for (const auto& [ours, target] : prepared.descriptors) {
    if (dup2(next++, target) < 0) return false;
  }
  return true;
}

[[noreturn]] void RunChild(const Prepared& prepared, pid_t parent) {
  if (prepared.outlives_us) {
    setpgid(0, 0);
  } else {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(kExitCannotStart);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (prepared.namespaces.valid()) {
    if (setns(prepared.namespaces.get(), prepared.namespace_kinds) != 0) _exit(kExitCannotStart);
    // Only children enter the pid namespace: the program is ours, and we pass its end on.
    const pid_t inner = fork();
    if (inner < 0) _exit(kExitCannotStart);
    if (inner > 0) {
      // It only waits, and must keep nothing open: who waits for a userfaultfd to be closed would wait, too.
      syscall(SYS_close_range, 3, ~0u, 0);
      int status = 0;
      while (waitpid(inner, &status, 0) < 0 && errno == EINTR) {
      }
      if (WIFSIGNALED(status)) raise(WTERMSIG(status));
      _exit(WEXITSTATUS(status));
    }
    if (!prepared.outlives_us) prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  if (PlaceDescriptors(prepared))
    execve(prepared.arguments[0], prepared.arguments.data(), prepared.environment.data());
  _exit(kExitCannotStart);
}

}  // namespace

Result<Subprocess> Subprocess::Spawn(const SpawnOptions& options) {
  Prepared prepared = Prepare(options);
  if (options.enter_namespaces_of != 0) prepared.namespaces = TRY(OpenPidfd(options.enter_namespaces_of));
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return FailErrno(fmt::format("cannot start {}", options.arguments.front()));
  if (pid == 0) RunChild(prepared, parent);
  Subprocess child;
  child.pid_ = pid;
  child.pidfd_ = TRY(OpenPidfd(pid));
  return child;
}

Subprocess::Subprocess(Subprocess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::move(other.pidfd_)) {}

Subprocess& Subprocess::operator=(Subprocess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(pidfd_, other.pidfd_);
  return *this;
}

Subprocess::~Subprocess() {
  if (pid_ == 0) return;
  Kill();
  if (!Wait()) return;
}

void Subprocess::Kill() {
  if (pid_ != 0) kill(pid_, SIGKILL);
}

Result<int> Subprocess::Wait() {
  int status = 0;
  const pid_t pid = std::exchange(pid_, 0);
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("waitpid");
  }
  return status;
}

std::string DescribeWaitStatus(int status) {
  if (WIFSIGNALED(status)) {
    return fmt::format("was killed by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  }
  return fmt::format("exited with {}", WEXITSTATUS(status));
}

}  // namespace holdfast
