// `holdfast rm` and `holdfast prune`: what goes, and how much room it gave back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

struct Removal {
  std::vector<std::string> removed;  // "NAME@7", or "NAME" for a job with all it had
  uint64_t bytes_freed = 0;
};

// version 0: the job, its record, its logs and all its snapshots; refused (kBusy) while it lives.
Result<Removal> RemoveJobOrSnapshot(Store& store, const SnapshotId& id);

// Removes what no rule keeps (without a rule: nothing) from each lineage and frees what nothing refers to. No
// lineages named: from every one.
Result<Removal> PruneLineages(Store& store, const std::vector<std::string>& lineages, const KeepRules& rules,
                              bool dry_run);

}  // namespace holdfast
