// Which segments a compaction rewrites, in which order, and how many before it frees the old ones.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "store/live_blocks.h"

namespace holdfast {

// The segments to be rewritten: those with too much that is dead, and the small ones when there are many. Of
// the first, what costs the least copying for the room that it gives. What it was applied to gives none
// again.
std::vector<uint32_t> ChooseSegments(const LiveBlocks& live);

// How many of `chosen`, from the front, go in one batch with so much room in the store. kNoSpace: not even
// the first.
Result<size_t> BatchSize(const LiveBlocks& live, std::span<const uint32_t> chosen, uint64_t bytes_available);

}  // namespace holdfast
