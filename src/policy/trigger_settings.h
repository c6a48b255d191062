// What makes a supervisor take snapshots of a job, besides people who ask for one. A job's record keeps it,
// so that a restart goes on with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace holdfast {

struct TriggerSettings {
  double every_s = 0;              // 0: no fixed interval
  double mtbf_s = 0;               // not 0: the interval follows from it (then every_s is 0)
  uint64_t every_dirty_bytes = 0;  // after so much was written; 0: however much it is
  int on_signal = 0;               // 0: every signal is the job's
  double deadline_s = 0;           // from a SIGTERM on, until the job may be gone; 0: not known
  uint64_t full_every = 0;         // every so manyth is a full one; 0: only the first
  double freeze_budget_ms = 0;     // how long the job may stand still for one; 0: as long as it takes

  bool operator==(const TriggerSettings&) const = default;
  // Whether snapshots are taken without anybody's doing.
  bool any() const { return every_s > 0 || mtbf_s > 0 || every_dirty_bytes > 0; }
};

// What a command line says; what it does not mention stays as it was.
struct TriggerChanges {
  std::optional<double> every_s;
  std::optional<double> mtbf_s;
  std::optional<uint64_t> every_dirty_bytes;
  std::optional<int> on_signal;
  std::optional<double> deadline_s;
  std::optional<uint64_t> full_every;
  std::optional<double> freeze_budget_ms;
};
TriggerSettings Apply(const TriggerChanges& changes, TriggerSettings settings);

// kUsage: a signal that cannot be a trigger, because it has another meaning or never reaches a supervisor,
// or that is none.
Result<void> ValidateTriggerSignal(int number);

// "10.00 s, 2.00 GiB": when, in a few words; empty when there is nothing but signals.
std::string DescribeRhythm(const TriggerSettings& settings);
// All of it in a sentence's part: "every 10.00 s, on SIGUSR1"; empty: only by hand.
std::string DescribeTriggers(const TriggerSettings& settings);

}  // namespace holdfast
