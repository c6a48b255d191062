// `--every auto --mtbf 12h`: as often as it pays, from what a checkpoint has been measured to cost the job
// and from how often failures come.
#pragma once

#include "policy/trigger_source.h"

namespace holdfast {

// The time from one checkpoint to the next at which the least is lost to checkpoints and failures together:
// J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
// Generation Computer Systems 22 (2006), equation 37, whose first term is J. W. Young's of 1974 (CACM 17:9).
// `cost_s`: running time that one checkpoint takes from the job. From start to start: Daly's interval is the
// one between the end of a checkpoint and the start of the next.
double OptimumPeriodS(double cost_s, double mtbf_s);

class AdaptiveTrigger : public TriggerSource {
 public:
  AdaptiveTrigger(double mtbf_s, Moment now);

  std::optional<Due> Next(const Outlook& outlook) override;
  void CheckpointEnded(const CheckpointReport& report) override;
  std::string TakeRemark() override;

 private:
  double mtbf_s_;
  double period_s_;
  Moment due_;
  std::optional<double> cost_s_;
  std::string remark_;
};

}  // namespace holdfast
