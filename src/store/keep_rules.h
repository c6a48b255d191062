// Which snapshots of a lineage stay when old ones are pruned.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "store/manifest.h"

namespace holdfast {

// A snapshot stays when any rule wants it. Hours, days and weeks are those of the local time; of each, the
// newest snapshot stays. Weeks begin on Monday.
struct KeepRules {
  uint64_t last = 0;    // the newest so many
  uint64_t hourly = 0;  // one for each of the newest so many hours that have any
  uint64_t daily = 0;
  uint64_t weekly = 0;
  std::function<bool(const SnapshotSummary&)> besides = {};  // and those; never asked about a damaged one

  // Without one, everything stays.
  bool any() const { return last > 0 || hourly > 0 || daily > 0 || weekly > 0 || besides; }
};

// Of `snapshots`, oldest first, the versions that no rule wants. Never the present. One that is damaged has
// no date: it goes only when `last` is the only rule.
std::vector<uint64_t> VersionsToRemove(const std::vector<SnapshotSummary>& snapshots, const KeepRules& rules);

}  // namespace holdfast
