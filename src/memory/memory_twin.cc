#include "memory/memory_twin.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>

#include "criu_plugin/remote_call.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "linux/proc_text.h"
#include "linux/run_apart.h"

namespace holdfast {
namespace {

constexpr std::string_view kOomScore = "1000";  // criu_plugin/twin.cc gives it to each

// "exit_signal", field 38 of /proc/PID/stat (proc_pid_stat(5)).
std::string_view ExitSignal(std::string_view stat) {
  constexpr int kFieldsBefore = 37 - 2;  // of those after the name
  stat.remove_prefix(std::min(stat.rfind(')') + 1, stat.size()));
  for (int field = 0; field < kFieldsBefore; ++field) TakeWord(stat);
  return TakeWord(stat);
}

// A corpse in a session of its own, that is not to send a signal, and was offered to the kernel.
bool IsLeftTwin(const ProcessStatus& status) {
  if (!status.zombie() || status.session != status.namespace_pids.front()) return false;
  const std::string stat = ReadFile(fmt::format("/proc/{}/stat", status.pid)).value_or("");
  const std::string score = ReadFile(fmt::format("/proc/{}/oom_score_adj", status.pid)).value_or("");
  return ExitSignal(stat) == "0" && score.starts_with(kOomScore);
}

Result<void> Seize(pid_t pid, unsigned long options) {
  if (ptrace(PTRACE_SEIZE, pid, nullptr, reinterpret_cast<void*>(options)) != 0 ||
      ptrace(PTRACE_INTERRUPT, pid, nullptr, nullptr) != 0) {
    return FailErrno(fmt::format("cannot attach to process {}", pid));
  }
  int status = 0;
  if (WaitForTask(pid, &status) < 0 || !WIFSTOPPED(status)) {
    return Fail(ErrorKind::kNotFound, fmt::format("process {} ended while it was attached to", pid));
  }
  return {};
}

// Makes `task` collect its dead child, whose pid is the one that `task` sees. The task's threads feel one
// short stop.
void CollectInTask(pid_t task, pid_t child) {
  if (!Seize(task, PTRACE_O_SUSPEND_SECCOMP)) return;
  {
    RemoteCall call(task);
    if (call.error() == 0) call.Call(SYS_wait4, static_cast<uint64_t>(child), 0, WNOHANG | __WALL, 0);
  }
  ptrace(PTRACE_DETACH, task, nullptr, nullptr);
}

}  // namespace

void CollectLeftTwins(const std::vector<pid_t>& tree) {
  for (const pid_t pid : tree) {
    const Result<ProcessStatus> status = ReadStatus(pid);
    if (!status || !IsLeftTwin(*status)) continue;
    // Should we be killed in its midst, the call that is injected comes to its end.
    const Result<void> collected = RunApart([&]() -> Result<void> {
      CollectInTask(status->parent, status->namespace_pids.back());
      return {};
    });
    if (!collected) return;
  }
}

Result<MemoryTwin> MemoryTwin::Attach(pid_t twin, Fd pidfd, pid_t task, TwinPlacement placement) {
  MemoryTwin handle;
  handle.pid_ = twin;
  handle.task_ = task;
  handle.pidfd_ = std::move(pidfd);
  handle.placement_ = placement;
  handle.pid_in_namespace_ = TRY(ReadStatus(twin)).namespace_pids.back();
  TRY(Seize(twin, PTRACE_O_EXITKILL | PTRACE_O_SUSPEND_SECCOMP));
  return handle;
}

MemoryTwin::MemoryTwin(MemoryTwin&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      task_(other.task_),
      pid_in_namespace_(other.pid_in_namespace_),
      pidfd_(std::move(other.pidfd_)),
      placement_(other.placement_),
      syscall_address_(other.syscall_address_) {}

MemoryTwin& MemoryTwin::operator=(MemoryTwin&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(task_, other.task_);
  std::swap(pid_in_namespace_, other.pid_in_namespace_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(placement_, other.placement_);
  std::swap(syscall_address_, other.syscall_address_);
  return *this;
}

bool MemoryTwin::WaitUntilDead(int milliseconds) const {
  return pid_ == 0 || WaitForEnd(pidfd_.get(), milliseconds).has_value();
}

void MemoryTwin::Release(uint64_t start, uint64_t end) {
  if (pid_ == 0) return;
  RemoteCall call(pid_, syscall_address_);
  if (call.error() != 0) return;
  syscall_address_ = call.syscall_address();
  call.Call(SYS_madvise, start, end - start, MADV_DONTNEED);
}

void MemoryTwin::Discard() {
  const pid_t pid = std::exchange(pid_, 0);
  if (pid == 0) return;
  if (!SendSignal(pidfd_.get(), SIGKILL)) return;
  int status = 0;
  while (WaitForTask(pid, &status) > 0 && WIFSTOPPED(status)) {
  }
  if (placement_ == TwinPlacement::kChildOfTask) CollectInTask(task_, pid_in_namespace_);
}

}  // namespace holdfast
