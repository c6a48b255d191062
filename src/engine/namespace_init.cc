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
#include "linux/loopback.h"

namespace holdfast {
namespace {

constexpr int kExitSignalBase = 128;

// Runs in a fork of a process that may have threads: only what is async-signal-safe.
int MountAll(const std::vector<BindMount>& mounts) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return errno;
  for (const BindMount& one : mounts) {
    if (mount(one.source.c_str(), one.target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0) return errno;
  }
  return 0;
}

// Each failure with what was tried.
struct SetUp {
  enum class Step { kMounts, kNetwork } step = Step::kMounts;
  int error = EPERM;
};

SetUp SetUpAll(const std::vector<BindMount>& mounts, const std::optional<std::vector<IpAddress>>& network) {
  const int error = MountAll(mounts);
  if (error != 0 || !network) return {SetUp::Step::kMounts, error};
  return {SetUp::Step::kNetwork, BringUpLoopback(*network)};
}

[[noreturn]] void RunInit(pid_t root, const std::vector<BindMount>& mounts,
                          const std::optional<std::vector<IpAddress>>& network, int ready, int starter) {
  prctl(PR_SET_NAME, "holdfast-init");
  setsid();
  sigset_t every_signal;
  sigfillset(&every_signal);
  sigprocmask(SIG_SETMASK, &every_signal, nullptr);
  const SetUp done = SetUpAll(mounts, network);
  if (write(ready, &done, sizeof done) != sizeof done || done.error != 0) _exit(kExitSignalBase);
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

Result<NamespaceInit> NamespaceInit::Start(pid_t root_in_namespace, const std::vector<BindMount>& mounts,
                                           const std::optional<std::vector<IpAddress>>& network) {
  int ends[2];
  int lifeline[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return FailErrno("pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  if (pipe2(lifeline, O_CLOEXEC) != 0) return FailErrno("pipe");
  const Fd starter(lifeline[0]);
  Fd alive(lifeline[1]);
  const unsigned long kinds = CLONE_NEWPID | CLONE_NEWNS | (network ? CLONE_NEWNET : 0);
  const long pid = syscall(SYS_clone, kinds | SIGCHLD, 0, 0, 0, 0);
  if (pid < 0) return FailErrno("cannot make namespaces for the job");
  if (pid == 0) {
    alive.Reset();
    RunInit(root_in_namespace, mounts, network, write_end.get(), starter.get());
  }
  NamespaceInit init(static_cast<pid_t>(pid), std::move(alive));
  write_end.Reset();
  SetUp done;
  if (read(read_end.get(), &done, sizeof done) != sizeof done) done = SetUp{};
  if (done.error == 0) return init;
  if (done.step == SetUp::Step::kNetwork)
    return FailErrno(done.error, "cannot bring up loopback in the job's network namespace");
  return FailErrno(done.error, "cannot mount /proc and the job's own files in its mount namespace");
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
