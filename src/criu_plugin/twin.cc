// SPDX-License-Identifier: MIT
#include "criu_plugin/twin.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "criu_plugin/left_out.h"
#include "criu_plugin/remote_call.h"

namespace holdfast {
namespace {

// What CRIU 4.1 sets on the tasks it dumps (compel/src/lib/infect.c, ptrace_suspend_seccomp).
constexpr unsigned long kCriuOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP;
constexpr unsigned long kFollowClones = PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;

bool SetOptions(pid_t task, unsigned long options) {
  return ptrace(PTRACE_SETOPTIONS, task, nullptr, reinterpret_cast<void*>(options)) == 0;
}

// Clones are followed, so that a child is ours before it can run, until this goes out of scope.
class FollowingClones {
 public:
  explicit FollowingClones(pid_t task) : task_(task), ok_(SetOptions(task, kCriuOptions | kFollowClones)) {}
  FollowingClones(const FollowingClones&) = delete;
  FollowingClones& operator=(const FollowingClones&) = delete;
  ~FollowingClones() { SetOptions(task_, kCriuOptions); }
  bool ok() const { return ok_; }

 private:
  pid_t task_;
  bool ok_;
};

// Ends a helper or a twin that we trace and collects our half of it.
void KillTraced(pid_t task) {
  kill(task, SIGKILL);
  int status = 0;
  while (WaitForTask(task, &status) > 0 && !WIFEXITED(status) && !WIFSIGNALED(status)) {
  }
}

// A child of a task: the task may live in another pid namespace than we do.
struct Child {
  pid_t pid = 0;  // ours; a negative errno when there is none
  pid_t seen_by_task = 0;
};

// A clone in the task; the child is stopped and dies with us.
Child CloneIn(RemoteCall& task, uint64_t flags) {
  const long result = task.Call(SYS_clone, flags, 0, 0, 0, 0, 0);
  if (result < 0) return {static_cast<pid_t>(result), 0};
  const pid_t child = task.new_child();
  int status = 0;
  if (child == 0 || WaitForTask(child, &status) < 0) return {-ECHILD, 0};
  SetOptions(child, kCriuOptions | kFollowClones | PTRACE_O_EXITKILL);
  return {child, static_cast<pid_t>(result)};
}

// Cuts the twin's ties with the job. Descriptors: close_range with UNSHARE drops the shared table instead of
// closing its entries, so that no POSIX lock of the job is released; the session: no terminal signal or
// kill(0) reaches it.
int CutTies(RemoteCall& twin) {
  const long closed = twin.Call(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE);
  if (closed < 0) return static_cast<int>(-closed);
  const long session = twin.Call(SYS_setsid);
  return session < 0 ? static_cast<int>(-session) : 0;
}

// Under memory pressure the kernel shall take the twin, not the job whose pages it shares. It is also what
// the engine knows a twin by when nobody is left who made it (memory/memory_twin.cc).
void OfferToOomKiller(pid_t twin) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", twin);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t written = write(fd, "1000", 4);
  static_cast<void>(written);
  close(fd);
}

// Makes the cut and lets the twin go. An orphan is stopped for good: its parent is no part of the job, so
// nobody in it hears of the stop. A child must not be: a group stop sends SIGCHLD to the parent whatever the
// exit signal is.
int Settle(pid_t twin, uint64_t syscall_address, TwinPlacement placement) {
  OfferToOomKiller(twin);
  RemoteCall call(twin, syscall_address);
  int error = call.error();
  if (error == 0) error = CutTies(call);
  if (error == 0) {
    call.ParkInPause();
    call.End();
    const uintptr_t signal = placement == TwinPlacement::kOrphan ? SIGSTOP : 0;
    if (ptrace(PTRACE_DETACH, twin, nullptr, reinterpret_cast<void*>(signal)) != 0) error = errno;
  }
  if (error != 0) KillTraced(twin);
  return error;
}

// Has `task` collect its dead child, which sent no signal.
void Collect(RemoteCall& task, const Child& child) {
  task.Call(SYS_wait4, static_cast<uint64_t>(child.seen_by_task), 0, WNOHANG | __WALL, 0);
}

// Until this goes out of scope, no subreaper of the job gets an orphan.
class SuspendedReapers {
 public:
  explicit SuspendedReapers(const Subreapers& reapers) : reapers_(reapers) { SetAll(0); }
  SuspendedReapers(const SuspendedReapers&) = delete;
  SuspendedReapers& operator=(const SuspendedReapers&) = delete;
  ~SuspendedReapers() { SetAll(1); }

 private:
  void SetAll(uint64_t on) const {
    for (int i = 0; i < reapers_.count(); ++i) {
      RemoteCall call(reapers_.task(i));
      if (call.error() == 0) call.Call(SYS_prctl, PR_SET_CHILD_SUBREAPER, on);
    }
  }
  const Subreapers& reapers_;
};

// The orphan: a helper that shares the task's memory (made in microseconds, as it copies nothing) clones the
// twin and dies, and the task collects the helper, all while the task stands still. The twin's parent is then
// whoever collects orphans above the job.
int MakeOrphan(RemoteCall& task, const Subreapers& reapers, Child* twin) {
  const Child helper = CloneIn(task, CLONE_VM | CLONE_FILES);
  if (helper.pid < 0) return -helper.pid;
  int error = 0;
  {
    RemoteCall call(helper.pid, task.syscall_address());
    error = call.error();
    if (error == 0) {
      *twin = CloneIn(call, CLONE_FILES);
      if (twin->pid < 0) error = -twin->pid;
    }
    {
      const SuspendedReapers suspended(reapers);
      KillTraced(helper.pid);
    }
    call.End();
  }
  Collect(task, helper);
  return error;
}

}  // namespace

bool Subreapers::Examine(pid_t task) {
  RemoteCall call(task);
  if (call.error() != 0 || count_ == kTasksMax) return false;
  // prctl writes an int: the word at the top of the stack is lent for it and put back.
  const uint64_t word = call.stack_pointer();
  uint32_t saved = 0;
  uint32_t answer = 0;
  if (!call.ReadMemory(word, &saved, sizeof saved)) return false;
  const long result = call.Call(SYS_prctl, PR_GET_CHILD_SUBREAPER, word);
  const bool known = result == 0 && call.ReadMemory(word, &answer, sizeof answer);
  if (result == 0) call.WriteMemory(word, &saved, sizeof saved);
  if (known && answer != 0) tasks_[count_++] = task;
  return known;
}

int MakeTwin(pid_t task, TwinPlacement placement, const Subreapers& reapers, const TwinRange* left_out,
             uint64_t left_out_count, pid_t* twin) {
  Child child;
  uint64_t syscall_address = 0;
  {
    FollowingClones following(task);
    if (!following.ok()) return errno;
    RemoteCall call(task);
    if (call.error() != 0) return call.error();
    syscall_address = call.syscall_address();
    const LeftOut without(call, left_out, left_out_count);
    if (placement == TwinPlacement::kOrphan) {
      const int error = MakeOrphan(call, reapers, &child);
      if (error != 0) return error;
    } else {
      child = CloneIn(call, CLONE_FILES);
      if (child.pid < 0) return -child.pid;
    }
  }
  const int error = Settle(child.pid, syscall_address, placement);
  if (error != 0) {
    if (placement == TwinPlacement::kChildOfTask) {
      RemoteCall call(task, syscall_address);
      if (call.error() == 0) Collect(call, child);
    }
    return error;
  }
  *twin = child.pid;
  return 0;
}

}  // namespace holdfast
