// How much of the job's memory is not in its newest snapshot: looked at about once a second, which takes half
// a millisecond for each GiB and stops nothing.
#pragma once

#include <sys/types.h>

#include <optional>

#include "job/tracking_shelf.h"
#include "policy/trigger_source.h"

namespace holdfast {

class UnsavedWatch {
 public:
  explicit UnsavedWatch(pid_t root) : root_(root) {}

  std::optional<Unsaved> Look(const TrackingShelf& shelf, Moment now);
  // The next look is a new one.
  void Forget() { looked_at_.reset(); }
  void CheckpointEnded(const CheckpointReport& report, Moment frozen_at);

 private:
  pid_t root_;
  std::optional<Moment> looked_at_;
  std::optional<Unsaved> seen_;
  CheckpointReport newest_;  // of ours
  Moment frozen_at_;         // by it
};

}  // namespace holdfast
