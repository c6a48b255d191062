// Blocks that compaction has moved while somebody held on to where they lay.
#pragma once

#include <string>
#include <vector>

#include "store/manifest.h"
#include "store/store_core.h"

namespace holdfast {

// Has the blocks of `manifest` that lie in segments that are gone say where the same content lies now: where
// `parent` has it, or any snapshot of the manifest's own lineage. The first `own` segments are not looked
// for. Returns whether anything was changed; kBusy when some content is in none of these snapshots any more.
// Requires: the gate is held, so that nothing moves meanwhile.
Result<bool> FollowMovedBlocks(const StoreCore& core, const SnapshotId& parent, size_t own,
                               Manifest& manifest);

}  // namespace holdfast
