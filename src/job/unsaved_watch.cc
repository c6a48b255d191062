#include "job/unsaved_watch.h"

#include "engine/engine.h"

namespace holdfast {

namespace {

constexpr double kSecondsBetweenLooks = 1;

}  // namespace

std::optional<Unsaved> UnsavedWatch::Look(const TrackingShelf& shelf, Moment now) {
  if (looked_at_ && SecondsBetween(*looked_at_, now) < kSecondsBetweenLooks) return seen_;
  looked_at_ = now;
  seen_.reset();
  const Result<UnsavedMemory> memory = MeasureUnsaved(root_, shelf.Shows());
  if (!memory) return seen_;  // the job is about to be gone
  // What was left there during a checkpoint of ours is that one's.
  const bool ours = shelf.left_at() >= newest_.started && shelf.left_at() <= newest_.ended;
  const Moment since = ours ? frozen_at_ : shelf.left_at();
  seen_ = Unsaved{.tracked = memory->tracked,
                  .written_bytes = memory->written_bytes,
                  .untracked_bytes = memory->untracked_bytes,
                  .since_s = SecondsBetween(since, now)};
  return seen_;
}

void UnsavedWatch::CheckpointEnded(const CheckpointReport& report, Moment frozen_at) {
  newest_ = report;
  frozen_at_ = frozen_at;
  Forget();
}

}  // namespace holdfast
