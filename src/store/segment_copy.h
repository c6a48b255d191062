// New segments that are filled with blocks of old ones: stored bytes as they are, once they are known to be
// what their checksum says.
#pragma once

#include <atomic>
#include <map>
#include <memory>
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
  SegmentCopy(Backend& backend, LiveBlocks& live, std::atomic<uint64_t>& done, Progress* progress)
      : backend_(backend), live_(live), done_(done), progress_(progress) {}

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
  Result<BlockPlace> Reserve(SegmentEntry entry);

  Backend& backend_;
  LiveBlocks& live_;
  std::atomic<uint64_t>& done_;
  Progress* const progress_;
  std::map<uint32_t, Written> written_;  // by their numbers in live_.names; the last one takes blocks
};

}  // namespace holdfast
