// What decides when the next snapshot of a job is due, and why. A source knows no process: its supervisor
// tells it the time, what has been written and what checkpoints took, and asks.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace holdfast {

using Moment = std::chrono::steady_clock::time_point;

inline double SecondsBetween(Moment from, Moment to) {
  return std::chrono::duration<double>(to - from).count();
}
inline Moment Later(Moment moment, double seconds) {
  return moment + std::chrono::duration_cast<Moment::duration>(std::chrono::duration<double>(seconds));
}

// What is in the job's memory and not in its newest snapshot, as far as it is known.
struct Unsaved {
  bool tracked = false;          // the writes of at least one process are tracked
  uint64_t written_bytes = 0;    // by processes whose writes are tracked
  uint64_t untracked_bytes = 0;  // resident in all others; some of it may be in the snapshot
  double since_s = 0;            // since when writes have been tracked, about

  uint64_t bytes() const { return written_bytes + untracked_bytes; }
};

struct Outlook {
  Moment now{};
  std::optional<Unsaved> unsaved{};  // unknown while a checkpoint is under way, and when nobody looks
};

// The annotation of a snapshot that says which trigger it was taken by.
inline constexpr const char* kTriggerAnnotation = "trigger";

struct Due {
  Moment at{};
  std::string trigger{};  // what the snapshot is marked with: "interval"
  std::string why{};      // in words: "every 30.00 s"
  bool last = false;      // the job is to be stopped after it
};

// One checkpoint of the supervisor's own, whatever it was for.
struct CheckpointReport {
  Moment started{};
  Moment ended{};
  bool ok = false;
  bool last = false;                        // Due::last
  std::optional<uint64_t> unsaved_bytes{};  // when it started
  // Of the time in between, before it began: for somebody else's to end, for the job's memory to be back.
  // Not known of one that failed.
  double waited_s = 0;
  double lost_s = 0;  // what it took from the job's running time

  // What it took by itself.
  double seconds() const { return SecondsBetween(started, ended) - waited_s; }
};

class TriggerSource {
 public:
  TriggerSource() = default;
  TriggerSource(const TriggerSource&) = delete;
  TriggerSource& operator=(const TriggerSource&) = delete;
  virtual ~TriggerSource() = default;

  // As far as it is known now; nothing: not before something happens.
  virtual std::optional<Due> Next(const Outlook& outlook) = 0;
  virtual void CheckpointStarted(Moment /*now*/) {}
  virtual void CheckpointEnded(const CheckpointReport& /*report*/) {}
  // Something that the user should know, told once; mostly empty.
  virtual std::string TakeRemark() { return {}; }
};

}  // namespace holdfast
