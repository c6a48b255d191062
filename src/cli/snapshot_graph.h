// `holdfast snapshots --graph`: which snapshot comes from which, drawn as git draws commits.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

struct GraphLine {
  std::string rails;  // "| |-* "
  SnapshotSummary snapshot;
};

// The snapshots of the lineage, and of every other one that is related to it: whose snapshots come from its
// own, or the other way round.
Result<std::vector<SnapshotSummary>> RelatedSnapshots(const Store& store, const std::string& lineage);

// Parents before children. The line that leads to the present of `lineage` keeps the left edge; branches are
// drawn to the right of it, before it goes on. A snapshot whose parent was removed begins a line of its own.
std::vector<GraphLine> DrawGraph(const std::vector<SnapshotSummary>& snapshots, const std::string& lineage);

}  // namespace holdfast
