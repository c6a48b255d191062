#include "engine/namespace_init.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/fd.h"

namespace holdfast {
namespace {

constexpr int kExitSignalBase = 128;

// Runs in a fork of a process that may have threads: only what is async-signal-safe.
[[noreturn]] void RunInit(pid_t root, int ready) {
  prctl(PR_SET_NAME, "holdfast-init");
  setsid();
  sigset_t every_signal;
  sigfillset(&every_signal);
  sigprocmask(SIG_SETMASK, &every_signal, nullptr);
  const bool mounted = mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                       mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
  const char answer = mounted ? 1 : 0;
  if (write(ready, &answer, 1) != 1 || !mounted) _exit(kExitSignalBase);
  syscall(SYS_close_range, 0, ~0u, 0);
  for (;;) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended == root) _exit(WIFSIGNALED(status) ? kExitSignalBase + WTERMSIG(status) : WEXITSTATUS(status));
    if (ended < 0 && errno == ECHILD) {
      // Before the restart, nobody is here; the first orphan wakes nobody. Look again soon.
      timespec pause{0, 20'000'000};
      nanosleep(&pause, nullptr);
    }
  }
}

}  // namespace

Result<NamespaceInit> NamespaceInit::Start(pid_t root_in_namespace) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const long pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) return FailErrno("cannot make a pid namespace");
  if (pid == 0) RunInit(root_in_namespace, write_end.get());
  NamespaceInit init(static_cast<pid_t>(pid));
  write_end.Reset();
  char answer = 0;
  if (read(read_end.get(), &answer, 1) != 1 || answer != 1) {
    return Fail(ErrorKind::kPermission, "cannot mount /proc in the job's pid namespace");
  }
  return init;
}

NamespaceInit::NamespaceInit(NamespaceInit&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

NamespaceInit::~NamespaceInit() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace holdfast
