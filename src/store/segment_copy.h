// New segments that are filled with blocks of old ones, once these are known to be what their checksums say:
// stored bytes as they are; or, where snapshots name only some pages of a block, compressed anew with zeros
// in the place of the others. So a block keeps its length, and its pages keep their places in it.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "store/live_blocks.h"

namespace holdfast {

// Dropping it removes what was written and not published.
class SegmentCopy {
 public:
  // `done`: bytes copied, counted on for `progress`, which may be null.
  SegmentCopy(const StoreCore& core, LiveBlocks& live, std::atomic<uint64_t>& done, Progress* progress)
      : core_(core), live_(live), done_(done), progress_(progress) {}

  // Copies the blocks of this segment that count and notes their new places in `live`. Nothing when the
  // segment is gone: then nobody needs them any more. After an error the copy is of no use. kInterrupted.
  Result<void> Add(uint32_t segment);
  // Makes all of it durable. No Add after it.
  Result<void> Seal();
  // Gives the segment its name if it is one of these and has none yet. Requires: sealed.
  Result<void> Publish(const std::string& id);

 private:
  struct Written {
    std::unique_ptr<SegmentWriter> writer;
    std::vector<SegmentEntry> entries;
    bool published = false;
  };
  Result<void> CopyBlock(const SegmentReader& reader, LiveBlock& block);
  // Gives the entry its offset, and notes it. Returns where it is to be written.
  Result<SegmentWriter*> Reserve(PlacedBlock& block);

  const StoreCore& core_;
  LiveBlocks& live_;
  std::atomic<uint64_t>& done_;
  Progress* const progress_;
  std::mutex mutex_;
  std::map<uint32_t, Written> written_;  // by their numbers in live_.names; the last one takes blocks
};

}  // namespace holdfast
