#include "job/loss_meter.h"

#include <unistd.h>

#include <utility>

#include "linux/proc.h"
#include "policy/lost_time.h"

namespace holdfast {

std::optional<LossMeter::Reading> LossMeter::Read() const {
  const Result<std::vector<pid_t>> tree = ReadTree(root_);
  if (!tree) return std::nullopt;
  uint64_t ticks = 0;
  for (const pid_t pid : *tree) {
    if (const Result<ProcessStatus> status = ReadStatus(pid)) ticks += status->user_ticks;
  }
  return Reading{.at = std::chrono::steady_clock::now(),
                 .user_s = static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK))};
}

double LossMeter::CheckpointEnded(double freeze_s) {
  const std::optional<Reading> now = Read();
  const auto between = [](const std::optional<Reading>& from, const std::optional<Reading>& to) {
    std::optional<CpuStretch> stretch;
    if (from && to) stretch = {SecondsBetween(from->at, to->at), to->user_s - from->user_s};
    return stretch;
  };
  const double lost_s = LostSeconds(between(free_since_, started_), between(started_, now), freeze_s);
  free_since_ = now;
  started_.reset();
  return lost_s;
}

}  // namespace holdfast
