#include "engine/namespace_init.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "base/fd.h"

namespace holdfast {
namespace {

constexpr int kExitSignalBase = 128;

// Runs in a fork of a process that may have threads: only what is async-signal-safe.
int MountAll(const std::vector<BindMount>& mounts) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return errno;
  for (const BindMount& one : mounts) {
    if (mount(one.source.c_str(), one.target.c_str(), nullptr, MS_BIND, nullptr) != 0) return errno;
  }
  return 0;
}

[[noreturn]] void RunInit(pid_t root, const std::vector<BindMount>& mounts, int ready, int starter) {
  prctl(PR_SET_NAME, "holdfast-init");
  setsid();
  sigset_t every_signal;
  sigfillset(&every_signal);
  sigprocmask(SIG_SETMASK, &every_signal, nullptr);
  const int error = MountAll(mounts);
  if (write(ready, &error, sizeof error) != sizeof error || error != 0) _exit(kExitSignalBase);
  if (dup2(starter, 0) != 0) _exit(kExitSignalBase);
  syscall(SYS_close_range, 1, ~0u, 0);
  bool starter_gone = false;
  for (;;) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended == root) _exit(WIFSIGNALED(status) ? kExitSignalBase + WTERMSIG(status) : WEXITSTATUS(status));
    if (ended < 0 && errno == ECHILD) {
      // Before the restart, nobody is here; the first orphan wakes nobody. Look again soon. Who started us is
      // gone when the root has come, or when nobody will: another look tells.
      if (starter_gone) _exit(kExitSignalBase);
      constexpr int kLookMilliseconds = 20;
      pollfd end{0, 0, 0};
      starter_gone = poll(&end, 1, kLookMilliseconds) > 0;
    }
  }
}

}  // namespace

Result<NamespaceInit> NamespaceInit::Start(pid_t root_in_namespace, const std::vector<BindMount>& mounts) {
  int ends[2];
  int lifeline[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  if (pipe2(lifeline, O_CLOEXEC) != 0) return FailErrno("pipe");
  const Fd starter(lifeline[0]);
  Fd alive(lifeline[1]);
  const long pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) return FailErrno("cannot make a pid namespace");
  if (pid == 0) {
    alive.Reset();
    RunInit(root_in_namespace, mounts, write_end.get(), starter.get());
  }
  NamespaceInit init(static_cast<pid_t>(pid), std::move(alive));
  write_end.Reset();
  int error = EPERM;
  if (read(read_end.get(), &error, sizeof error) != sizeof error) error = EPERM;
  if (error != 0)
    return FailErrno(error, "cannot mount /proc and the job's own files in its mount namespace");
  return init;
}

NamespaceInit::NamespaceInit(NamespaceInit&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), alive_(std::move(other.alive_)) {}

NamespaceInit::~NamespaceInit() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace holdfast
