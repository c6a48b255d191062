// The last snapshot, after which the job is stopped: at once when the supervisor is told to (SIGTERM), or
// within `--deadline 120s` of that. With a deadline the job runs on while deltas are taken, each of which
// leaves less for the next one, so that the last one is short: what the job does while that is saved is lost.
// Nothing is put off until the deadline: the last one begins as soon as a further delta would gain nothing,
// or might not leave time enough.
#pragma once

#include <string>

#include "policy/duration_predictor.h"
#include "policy/trigger_source.h"

namespace holdfast {

class StopTrigger : public TriggerSource {
 public:
  // `deadline_s` 0: none.
  explicit StopTrigger(double deadline_s) : deadline_s_(deadline_s) {}

  // `earlier`: what is known of checkpoints of this job, besides the supervisor's own.
  void Begin(Moment now, DurationPredictor earlier);
  bool begun() const { return began_.has_value(); }
  // Whether a last one that failed is worth another try: there is time for it, as things are after it. It has
  // used up the tracking of writes, so that the next one may have all of the memory to save.
  bool TriesAgain(const Outlook& outlook) const;

  std::optional<Due> Next(const Outlook& outlook) override;
  void CheckpointEnded(const CheckpointReport& report) override;

 private:
  struct Forecast {
    double left_s = 0;   // until the deadline
    double now_s = 0;    // a checkpoint of what is unsaved now
    double after_s = 0;  // the one after it
    bool helps = false;  // that one would be shorter
    bool fits = false;   // both can be over by the deadline, with a margin
  };
  Forecast Look(const Outlook& outlook, const Unsaved& unsaved) const;
  std::string Explain(const Forecast& forecast, const Unsaved& unsaved, bool last) const;

  double deadline_s_;
  DurationPredictor predictor_;
  std::optional<Moment> began_;
  int deltas_ = 0;       // since then
  bool failed_ = false;  // one of them
  int failed_lasts_ = 0;
  double failed_last_s_ = 0;  // the longest of them
};

}  // namespace holdfast
