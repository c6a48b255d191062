// `--every 30s`: no snapshot is older than this, if a checkpoint can be taken.
#pragma once

#include "policy/trigger_source.h"

namespace holdfast {

class IntervalTrigger : public TriggerSource {
 public:
  IntervalTrigger(double every_s, Moment now) : every_s_(every_s), due_(Later(now, every_s)) {}

  std::optional<Due> Next(const Outlook& outlook) override;
  void CheckpointEnded(const CheckpointReport& report) override;

 private:
  double every_s_;
  Moment due_;
};

}  // namespace holdfast
