// The blocks that a manifest names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/manifest.h"

namespace holdfast {

// Leaves out the blocks that nothing in the manifest refers to: what was stored and written anew before the
// commit, what was taken over from a parent and is not the same any more.
void DropUnusedBlocks(Manifest& manifest);

// Block i is block place[i] from now on. Requires: a place for each, as of a manifest that was read and
// checked.
void MoveBlocks(Manifest& manifest, const std::vector<uint32_t>& place);

// Leaves out the segments that no block lies in, but none of the first `kept`.
void DropUnusedSegments(Manifest& manifest, size_t kept);

}  // namespace holdfast
