#include "policy/dirty_trigger.h"

#include <algorithm>
#include <utility>

#include "base/units.h"

namespace holdfast {

namespace {

// Where writes cannot be counted, a snapshot is taken this often all the same: it may begin the counting.
constexpr double kUncountedSeconds = 600;
// The job gets some time without a checkpoint, however fast it writes.
constexpr double kPauseSecondsMin = 1;

}  // namespace

std::optional<Due> DirtyTrigger::Next(const Outlook& outlook) {
  if (!outlook.unsaved) return std::nullopt;
  return outlook.unsaved->tracked ? WhenCounted(*outlook.unsaved, outlook.now)
                                  : WhenNotCounted(*outlook.unsaved, outlook.now);
}

std::optional<Due> DirtyTrigger::WhenCounted(const Unsaved& unsaved, Moment now) {
  just_taken_ = false;
  gave_up_ = false;
  uncounted_since_.reset();
  if (unsaved.written_bytes < bytes_) return std::nullopt;
  Moment at = now;
  if (newest_) at = std::max(at, Later(newest_->ended, std::max(kPauseSecondsMin, newest_->seconds())));
  return Due{.at = at, .trigger = "dirty", .why = FormatBytes(unsaved.written_bytes) + " written"};
}

std::optional<Due> DirtyTrigger::WhenNotCounted(const Unsaved& unsaved, Moment now) {
  // Before the first checkpoint nothing is tracked, and all that is in memory counts as written.
  if (!newest_ && unsaved.bytes() >= bytes_) {
    return Due{.at = now, .trigger = "dirty", .why = FormatBytes(unsaved.bytes()) + " in memory"};
  }
  if (!newest_) return std::nullopt;
  // A failed checkpoint leaves no tracking, nor does one by hand that is under way: neither says anything.
  if (std::exchange(just_taken_, false) && newest_->ok && !std::exchange(gave_up_, true)) {
    remark_ = "what it writes cannot be counted: no snapshot by --every-dirty, but one in " +
              FormatSeconds(kUncountedSeconds) +
              " if there is none for another reason (a job that writes most of its memory again all the time "
              "is not tracked)";
  }
  if (!uncounted_since_) uncounted_since_ = now;
  return Due{.at = Later(*uncounted_since_, kUncountedSeconds),
             .trigger = "dirty",
             .why = "what is written cannot be counted"};
}

void DirtyTrigger::CheckpointEnded(const CheckpointReport& report) {
  newest_ = report;
  just_taken_ = true;
  uncounted_since_.reset();
}

std::string DirtyTrigger::TakeRemark() {
  return std::exchange(remark_, {});
}

}  // namespace holdfast
