#include "policy/signal_trigger.h"

#include <algorithm>
#include <utility>

#include "linux/signal_names.h"

namespace holdfast {

namespace {

// Before another try. Who cannot wait sends the signal again.
constexpr double kPauseSecondsMin = 30;

}  // namespace

void SignalTrigger::Arrived(Moment now) {
  due_ = std::min(due_.value_or(now), now);
}

std::optional<Due> SignalTrigger::Next(const Outlook& /*outlook*/) {
  if (!due_) return std::nullopt;
  return Due{.at = *due_, .trigger = "signal", .why = SignalName(number_)};
}

void SignalTrigger::CheckpointStarted(Moment /*now*/) {
  under_way_ = due_.has_value();
  due_.reset();
}

void SignalTrigger::CheckpointEnded(const CheckpointReport& report) {
  const bool again = std::exchange(under_way_, false) && !report.ok && !due_;
  if (again) due_ = Later(report.ended, std::max(report.seconds(), kPauseSecondsMin));
}

}  // namespace holdfast
