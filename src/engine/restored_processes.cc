#include "engine/restored_processes.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "linux/proc.h"

namespace holdfast {

Result<RestoredProcesses> RestoredProcesses::Await() {
  RestoredProcesses processes;
  int subreaper = 0;
  if (prctl(PR_GET_CHILD_SUBREAPER, &subreaper) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return FailErrno("cannot become a subreaper");
  }
  processes.was_subreaper_ = subreaper != 0;
  const std::vector<pid_t> children = TRY(ReadChildren(getpid()));
  processes.before_.insert(children.begin(), children.end());
  return processes;
}

RestoredProcesses::RestoredProcesses(RestoredProcesses&& other) noexcept
    : before_(std::move(other.before_)),
      was_subreaper_(other.was_subreaper_),
      kept_(std::exchange(other.kept_, true)) {}

RestoredProcesses::~RestoredProcesses() {
  if (kept_) return;
  KillAll();
  if (!was_subreaper_) prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// Whose parent dies becomes our child, so that the next round finds it.
void RestoredProcesses::KillAll() const {
  const Stopwatch watch;
  while (watch.ElapsedMs() < limits::kCollectSecondsMax * 1000) {
    bool any = false;
    for (const pid_t child : ReadChildren(getpid()).value_or(std::vector<pid_t>{})) {
      if (before_.contains(child)) continue;
      any = true;
      for (const pid_t pid : ReadTree(child).value_or(std::vector<pid_t>{child})) kill(pid, SIGKILL);
      while (waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
      }
    }
    if (!any) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace holdfast
