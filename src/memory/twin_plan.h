// A partial twin has only the parts of a task that hold written pages: fork() copies the page tables of all
// that it is to inherit, and most of a large job that was pre-copied is in the store already. What part is
// left out (MADV_DONTFORK for the moment of the fork) and which written pages are copied instead is planned
// here, from numbers alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "criu_plugin/protocol.h"
#include "memory/drain.h"

namespace holdfast {

struct PlannedMapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t small_bytes = 0;  // resident, in pages of 4 KiB
  uint64_t huge_bytes = 0;   // resident, in huge pages
  bool may_be_cut = false;   // parts of it may be left out
  bool not_forked = false;   // fork() leaves it, or its content, out in any case: written pages are copied
};

struct TwinPlan {
  // Sorted and disjoint. Each lies in one mapping and begins behind the mapping's first page, so that
  // something of each mapping is in the twin, and the mapping is seen to be cut where it begins.
  std::vector<TwinRange> left_out;
  std::vector<PageRun> copied;   // written pages that the twin will not have
  std::vector<PageRun> in_twin;  // all others
  uint64_t forked_bytes = 0;     // resident memory that the twin shares with the task, at most
  double predicted_ms = 0;
};

struct TwinPlanRules {
  std::vector<uint64_t> kept{};  // addresses that the twin has to have
  size_t ranges_max = 0;
  // Leaves out whatever can be, in small pieces, whatever that costs: to try the mechanism.
  bool all_that_can_be = false;
};

// `mappings` and `written` are sorted by address and disjoint; each run lies in one mapping.
TwinPlan PlanPartialTwin(const std::vector<PlannedMapping>& mappings, const std::vector<PageRun>& written,
                         const TwinPlanRules& rules);

// The same for a twin of all.
TwinPlan PlanWholeTwin(const std::vector<PlannedMapping>& mappings, const std::vector<PageRun>& written);

}  // namespace holdfast
