// Blocks that compaction has moved while somebody held on to where they lay.
#pragma once

#include <functional>
#include <optional>

#include "store/block_key.h"
#include "store/manifest.h"
#include "store/store_core.h"

namespace holdfast {

// Which block of the parent's manifest had this content, when it was read.
using IndexInParent = std::function<std::optional<uint32_t>(const BlockKey&)>;

// Has the blocks of `manifest` that lie in segments that are gone say where the same content lies now: where
// `parent` has it, or any snapshot of the manifest's own lineage. Of a block that was trimmed, only pages
// that the parent names are taken to be there. The first `own` segments are not looked for. Returns whether
// anything was changed; kBusy when some content is in none of these snapshots any more. Requires: the gate is
// held, so that nothing moves meanwhile.
Result<bool> FollowMovedBlocks(const StoreCore& core, const SnapshotId& parent,
                               const IndexInParent& in_parent, size_t own, Manifest& manifest);

}  // namespace holdfast
