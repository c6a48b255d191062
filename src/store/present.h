// The present of a lineage: the snapshot that its name alone stands for. It is the newest one, until a job is
// restarted from an earlier one; then it is that one, until the next snapshot is committed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/store_core.h"

namespace holdfast {

// Of `versions`, which are all that the lineage has. kCorrupt: what was written down cannot be read.
Result<uint64_t> PresentVersion(const StoreCore& core, const std::string& lineage,
                                const std::vector<uint64_t>& versions);
// Requires: the gate is held exclusively, and the snapshot is there.
Result<void> MakePresent(const StoreCore& core, const SnapshotId& id);
// Removes what is written down once it says nothing (any more). Requires: the gate is held exclusively.
Result<void> CollectPresent(const StoreCore& core, const std::string& lineage);

}  // namespace holdfast
