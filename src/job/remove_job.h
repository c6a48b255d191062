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

// Keeps the newest `keep` snapshots of each lineage (0: all) and frees what nothing refers to. No lineages
// named: of every one.
Result<Removal> PruneLineages(Store& store, const std::vector<std::string>& lineages, uint64_t keep,
                              bool dry_run);

}  // namespace holdfast
