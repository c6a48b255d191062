// A clock that is given, and a job that is made up.
#pragma once

#include "base/units.h"
#include "policy/trigger_source.h"

namespace holdfast {

// So many seconds after some beginning.
inline Moment At(double seconds) {
  return Later(Moment(std::chrono::hours(1)), seconds);
}

inline Outlook LookAt(double seconds) {
  return {.now = At(seconds), .unsaved = {}};
}

inline Outlook Written(double seconds, uint64_t bytes, double since_s = 1) {
  return {
      .now = At(seconds),
      .unsaved = Unsaved{.tracked = true, .written_bytes = bytes, .untracked_bytes = 0, .since_s = since_s}};
}

inline Outlook Untracked(double seconds, uint64_t bytes) {
  return {.now = At(seconds),
          .unsaved = Unsaved{.tracked = false, .written_bytes = 0, .untracked_bytes = bytes, .since_s = 0}};
}

inline CheckpointReport Taken(double from_s, double to_s, double lost_s = 0.01) {
  return {.started = At(from_s), .ended = At(to_s), .ok = true, .unsaved_bytes = {}, .lost_s = lost_s};
}

inline CheckpointReport FailedOne(double from_s, double to_s) {
  CheckpointReport report = Taken(from_s, to_s);
  report.ok = false;
  return report;
}

}  // namespace holdfast
