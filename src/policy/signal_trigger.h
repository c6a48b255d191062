// `--on-signal USR1`: a snapshot for each such signal. One that comes while a checkpoint is under way asks
// for another: the job may have been frozen before it came. One whose snapshot fails is remembered, until a
// later try, or a snapshot for another reason, is committed.
#pragma once

#include "policy/trigger_source.h"

namespace holdfast {

class SignalTrigger : public TriggerSource {
 public:
  explicit SignalTrigger(int number) : number_(number) {}

  int number() const { return number_; }
  void Arrived(Moment now);

  std::optional<Due> Next(const Outlook& outlook) override;
  void CheckpointStarted(Moment now) override;
  void CheckpointEnded(const CheckpointReport& report) override;

 private:
  int number_;
  std::optional<Moment> due_;  // nothing: no signal waits for a snapshot
  bool under_way_ = false;     // the snapshot that a signal asked for
};

}  // namespace holdfast
