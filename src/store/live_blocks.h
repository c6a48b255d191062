// What of the store's segments is live: the blocks that snapshots name. Compaction plans with it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "store/manifest_blocks.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {

// Where a block lies, and as what: a segment by its number in LiveBlocks::names.
struct PlacedBlock {
  uint32_t segment = 0;
  SegmentEntry entry;
};

// A block by its segment and its number there, both of LiveBlocks.
struct BlockNumber {
  uint32_t segment = 0;
  uint32_t block = 0;
  bool operator==(const BlockNumber&) const = default;
};

struct LiveBlock {
  SegmentEntry entry;
  PageMask named = 0;  // the pages that snapshots name; of a keeper, all those that name its content
  BlockNumber keeper;  // the one of several of the same content that counts; mostly itself
  PlacedBlock now;     // where it lies by now
};

struct LiveSegment {
  std::string id;
  uint64_t bytes = 0;             // of the file
  uint64_t live_bytes = 0;        // of the blocks that count, see LiveBytes
  uint64_t copy_bytes_max = 0;    // the most that copying them can take
  std::vector<LiveBlock> blocks;  // by offset, dead ones too
};

struct LiveBlocks {
  std::vector<LiveSegment> segments;
  std::vector<std::string> names;  // of the segments, in their order; behind them, those that are written
  uint64_t manifest_bytes_max = 0;
  uint64_t bytes() const;
  uint64_t live_bytes() const;
};

// What the pages that are named take in a segment. Of a block of which some are not, an estimate.
uint64_t LiveBytes(const LiveBlock& block);

// What copying it can take at most: compressed without the pages that nobody names, it may be as large as
// those that are left.
uint64_t CopyBytesMax(const LiveBlock& block);

// Lineages that share segments (a job and its clones), each in exactly one group.
Result<std::vector<std::vector<std::string>>> GroupLineages(const StoreCore& core);

// Reads the manifests of these lineages, which must be a whole group, and the indexes of their segments.
// Needs no gate: what is committed or removed meanwhile may be missing from it or be in it. kInterrupted.
Result<LiveBlocks> FindLiveBlocks(const StoreCore& core, const std::vector<std::string>& lineages,
                                  const Progress* progress);

}  // namespace holdfast
