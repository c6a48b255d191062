#include "policy/signal_trigger.h"

#include "linux/signal_names.h"

namespace holdfast {

void SignalTrigger::Arrived(Moment now) {
  if (!since_) since_ = now;
}

std::optional<Due> SignalTrigger::Next(const Outlook& /*outlook*/) {
  if (!since_) return std::nullopt;
  return Due{.at = *since_, .trigger = "signal", .why = SignalName(number_)};
}

void SignalTrigger::CheckpointStarted(Moment /*now*/) {
  since_.reset();
}

}  // namespace holdfast
