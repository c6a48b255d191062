#include "policy/adaptive_trigger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/units.h"

namespace holdfast {

namespace {

// Before anything is measured: soon, since nothing is saved.
constexpr double kFirstSecondsMax = 60;
constexpr double kFirstShareOfMtbf = 0.1;
// However often failures come, checkpoints get no more than this of the job's time.
constexpr double kCostShareMax = 0.05;
constexpr double kPeriodSecondsMin = 1;
// Of the time that checkpoints are under way.
constexpr double kBusyShareMax = 0.5;
// A measured cost is as noisy as the job's own speed.
constexpr double kWeightOfNewest = 0.5;

}  // namespace

double OptimumPeriodS(double cost_s, double mtbf_s) {
  if (cost_s >= 2 * mtbf_s) return mtbf_s + cost_s;
  const double ratio = cost_s / (2 * mtbf_s);
  return std::sqrt(2 * cost_s * mtbf_s) * (1 + std::sqrt(ratio) / 3 + ratio / 9);
}

AdaptiveTrigger::AdaptiveTrigger(double mtbf_s, Moment now)
    : mtbf_s_(mtbf_s),
      period_s_(std::min(kFirstSecondsMax, kFirstShareOfMtbf * mtbf_s)),
      due_(Later(now, period_s_)) {}

std::optional<Due> AdaptiveTrigger::Next(const Outlook& /*outlook*/) {
  std::string why =
      cost_s_ ? "every " + FormatSeconds(period_s_) + " pays" : "to see what a checkpoint costs";
  return Due{.at = due_, .trigger = "adaptive", .why = std::move(why)};
}

void AdaptiveTrigger::CheckpointEnded(const CheckpointReport& report) {
  if (report.ok) {
    cost_s_ = cost_s_ ? *cost_s_ + kWeightOfNewest * (report.lost_s - *cost_s_) : report.lost_s;
    period_s_ = std::max({OptimumPeriodS(*cost_s_, mtbf_s_), *cost_s_ / kCostShareMax,
                          report.seconds() / kBusyShareMax, kPeriodSecondsMin});
    remark_ = fmt::format("a checkpoint costs the job {}; with a failure every {} one every {} pays",
                          FormatSeconds(*cost_s_), FormatSeconds(mtbf_s_), FormatSeconds(period_s_));
  }
  // From one's start to the next one's; those that fail are under way no more than half of the time either.
  const double pause_s = report.ok ? period_s_ - report.seconds() : std::max(report.seconds(), period_s_);
  due_ = Later(report.ended, std::max(pause_s, kPeriodSecondsMin));
}

std::string AdaptiveTrigger::TakeRemark() {
  return std::exchange(remark_, {});
}

}  // namespace holdfast
