// Telling manifests where their blocks have gone.
#pragma once

#include "store/block_moves.h"
#include "store/segment_copy.h"
#include "store/store_core.h"

namespace holdfast {

// Replaces each manifest that names a segment that was left by one that says where its blocks lie now, then
// frees what no manifest names any more. `copy`: has the segments that are not published yet, or null.
// Returns how many manifests were replaced. Cut short at any moment, also by an error, the rest can be done
// with FinishSwitch, before anything else is compacted.
Result<uint64_t> SwitchManifests(const StoreCore& core, const BlockMoves& moves, SegmentCopy* copy);

// What a switch that was cut short has left to do.
Result<void> FinishSwitch(const StoreCore& core);

}  // namespace holdfast
