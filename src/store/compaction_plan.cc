#include "store/compaction_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "base/units.h"
#include "store/format.h"

namespace holdfast {
namespace {

constexpr uint64_t kSpareBytes = kMiB;  // for what a file system keeps beside the content
constexpr uint64_t kRoomShare = 4;      // a batch leaves most of the room to the checkpoints beside it

bool IsSparse(const LiveSegment& segment) {
  const uint64_t needed = format::kSegmentFrameBytes + segment.live_bytes;
  if (needed >= segment.bytes) return false;
  return (segment.bytes - needed) * 100 > segment.bytes * limits::kDeadPercentMax;
}

double Fullness(const LiveSegment& segment) {
  return static_cast<double>(segment.live_bytes) / static_cast<double>(segment.bytes);
}

}  // namespace

std::vector<uint32_t> ChooseSegments(const LiveBlocks& live) {
  std::vector<uint32_t> chosen;
  std::vector<uint32_t> small;
  for (uint32_t i = 0; i < live.segments.size(); ++i) {
    if (IsSparse(live.segments[i])) {
      chosen.push_back(i);
    } else if (live.segments[i].bytes < limits::kSmallSegmentBytes) {
      small.push_back(i);
    }
  }
  if (small.size() > limits::kSmallSegmentsMax) chosen.insert(chosen.end(), small.begin(), small.end());
  std::stable_sort(chosen.begin(), chosen.end(), [&live](uint32_t a, uint32_t b) {
    return Fullness(live.segments[a]) < Fullness(live.segments[b]);
  });
  return chosen;
}

Result<size_t> BatchSize(const LiveBlocks& live, std::span<const uint32_t> chosen, uint64_t bytes_available) {
  const auto bytes_of = [&live](uint32_t segment) {
    const LiveSegment& one = live.segments[segment];
    return one.copy_bytes_max + format::kSegmentFrameBytes + one.blocks.size() * format::kMoveBytes;
  };
  // Each manifest is written beside the old one before that goes.
  const uint64_t spare = 2 * live.manifest_bytes_max + kSpareBytes;
  const uint64_t least = bytes_of(chosen.front()) + spare;
  if (bytes_available < least) {
    return Fail(ErrorKind::kNoSpace, fmt::format("the store has {} left; compacting needs {} to go on",
                                                 FormatBytes(bytes_available), FormatBytes(least)))
        .WithHint("`holdfast prune` drops old snapshots and needs no room");
  }
  const uint64_t most = std::min(limits::kCompactionBatchBytesMax, (bytes_available - spare) / kRoomShare);
  uint64_t bytes = bytes_of(chosen.front());
  size_t count = 1;
  while (count < chosen.size() && bytes + bytes_of(chosen[count]) <= most) {
    bytes += bytes_of(chosen[count]);
    ++count;
  }
  return count;
}

}  // namespace holdfast
