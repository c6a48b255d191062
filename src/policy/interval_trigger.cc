#include "policy/interval_trigger.h"

#include "base/units.h"

namespace holdfast {

std::optional<Due> IntervalTrigger::Next(const Outlook& /*outlook*/) {
  return Due{.at = due_, .trigger = "interval", .why = "every " + FormatSeconds(every_s_)};
}

// Counted from start to start; but the job always gets some time without a checkpoint.
void IntervalTrigger::CheckpointEnded(const CheckpointReport& report) {
  due_ = Later(report.started, every_s_);
  if (due_ < report.ended) due_ = Later(report.ended, every_s_);
}

}  // namespace holdfast
