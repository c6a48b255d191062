#include "linux/stopped_process.h"

#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "linux/proc.h"
#include "linux/run_apart.h"

namespace holdfast {
namespace {

// False while its stop is on its way.
bool DetachAtItsStop(pid_t thread) {
  int status = 0;
  const pid_t pid = waitpid(thread, &status, __WALL | WNOHANG);
  if (pid == 0 || (pid < 0 && errno == EINTR)) return false;
  if (pid < 0 || !WIFSTOPPED(status)) return true;
  // A signal that came first is handed on.
  const auto signal = static_cast<uintptr_t>(status >> 16 == 0 ? WSTOPSIG(status) : 0);
  ptrace(PTRACE_DETACH, thread, nullptr, reinterpret_cast<void*>(signal));
  return true;
}

}  // namespace

StoppedProcess::StoppedProcess(StoppedProcess&& other) noexcept
    : threads_(std::exchange(other.threads_, {})) {}

StoppedProcess::~StoppedProcess() {
  for (const Thread& thread : threads_) {
    if (thread.stopped) ptrace(PTRACE_DETACH, thread.id, nullptr, nullptr);
  }
  // A thread that has not stopped yet cannot be let go before its stop, which is on its way, comes.
  // In turns: the end of the first thread is only told after that of all others.
  std::erase_if(threads_, [](const Thread& thread) { return thread.stopped; });
  for (;;) {
    std::erase_if(threads_, [](const Thread& thread) { return DetachAtItsStop(thread.id); });
    if (threads_.empty()) break;
    if (IsLeftApart()) _exit(1);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

// Returns how many threads were not held before.
Result<int> StoppedProcess::SeizeNew(pid_t pid) {
  int found = 0;
  const Result<std::vector<pid_t>> ids = ReadThreads(pid);
  if (!ids) return 0;  // it has ended
  for (const pid_t id : *ids) {
    if (std::any_of(threads_.begin(), threads_.end(), [id](const Thread& one) { return one.id == id; })) {
      continue;
    }
    if (ptrace(PTRACE_SEIZE, id, nullptr, reinterpret_cast<void*>(PTRACE_O_SUSPEND_SECCOMP)) != 0) {
      const int error = errno;
      const Result<ProcessStatus> status = ReadStatus(id);
      if (!status || status->zombie()) continue;
      return FailErrno(error, fmt::format("cannot stop thread {} of process {}", id, pid));
    }
    ptrace(PTRACE_INTERRUPT, id, nullptr, nullptr);
    threads_.push_back({id, false});
    ++found;
  }
  return found;
}

// Whether all have stopped. Threads that have ended are forgotten.
bool StoppedProcess::AwaitStops() {
  bool all = true;
  for (auto thread = threads_.begin(); thread != threads_.end();) {
    int status = 0;
    const pid_t pid = thread->stopped ? 0 : waitpid(thread->id, &status, __WALL | WNOHANG);
    if ((pid < 0 && errno != EINTR) || (pid > 0 && !WIFSTOPPED(status))) {
      thread = threads_.erase(thread);
      continue;
    }
    if (pid > 0 && status >> 16 == PTRACE_EVENT_STOP) {
      thread->stopped = true;
    } else if (pid > 0) {  // a signal was first: it is delivered as it came, and the stop follows
      ptrace(PTRACE_CONT, thread->id, nullptr,
             reinterpret_cast<void*>(static_cast<uintptr_t>(WSTOPSIG(status))));
    }
    all = all && thread->stopped;
    ++thread;
  }
  return all;
}

Result<StoppedProcess> StoppedProcess::Stop(pid_t pid, int milliseconds) {
  const Stopwatch waited;
  StoppedProcess process;
  int spins = 0;
  for (;;) {
    // In this order: one that still ran may have made a new thread after they were listed.
    const bool all_stopped = process.AwaitStops();
    const int found = TRY(process.SeizeNew(pid));
    if (all_stopped && found == 0) break;
    if (waited.ElapsedMs() > milliseconds) {
      return Fail(ErrorKind::kBusy, fmt::format("process {} cannot be stopped", pid));
    }
    constexpr int kSpinsMax = 200;  // most stop within microseconds
    if (++spins > kSpinsMax) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  if (process.threads_.empty()) return Fail(ErrorKind::kNotFound, fmt::format("there is no process {}", pid));
  return process;
}

}  // namespace holdfast
