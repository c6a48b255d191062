// The blocks that a manifest names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/limits.h"
#include "base/page.h"
#include "store/manifest.h"
#include "store/segment.h"

namespace holdfast {

// Leaves out the blocks that nothing in the manifest refers to: what was stored and written anew before the
// commit, what was taken over from a parent and is not the same any more.
void DropUnusedBlocks(Manifest& manifest);

// Block i is block place[i] from now on. Requires: a place for each, as of a manifest that was read and
// checked.
void MoveBlocks(Manifest& manifest, const std::vector<uint32_t>& place);

// The pages of a block, a bit each, the first one the lowest.
using PageMask = uint32_t;
static_assert(limits::kBlockBytesMax / kPageBytes <= 32);
PageMask AllPages(uint32_t raw_bytes);
// Those that are in a stored block.
inline PageMask KeptPages(const SegmentEntry& entry) {
  return entry.kept_pages != 0 ? entry.kept_pages : AllPages(entry.raw_bytes);
}
// For each block, the pages that something in the manifest refers to; all of it, of one of an image or a
// file.
std::vector<PageMask> PagesNamed(const Manifest& manifest);

// Leaves out the segments that no block lies in, but none of the first `kept`.
void DropUnusedSegments(Manifest& manifest, size_t kept);

}  // namespace holdfast
