#include "store/compaction_plan.h"

#include <gtest/gtest.h>

#include "base/page.h"
#include "base/units.h"
#include "store/format.h"

namespace holdfast {
namespace {

constexpr uint32_t kPages = 32;

// Of 32 pages in `stored` bytes, those of `named` are.
LiveBlock Block(uint32_t stored, PageMask named) {
  LiveBlock block;
  block.entry.raw_bytes = kPages * kPageBytes;
  block.entry.stored_bytes = stored;
  block.entry.kept_pages = AllPages(block.entry.raw_bytes);
  block.named = named;
  return block;
}

TEST(CopyBytesMax, OfAWholeBlockIsWhatItTakesNow) {
  const LiveBlock whole = Block(1000, AllPages(kPages * kPageBytes));
  EXPECT_EQ(CopyBytesMax(whole), 1000 + format::kSegmentEntryBytes);
  EXPECT_EQ(LiveBytes(whole), CopyBytesMax(whole));
}

// The pages that go may have been all that got smaller.
TEST(CopyBytesMax, OfSomePagesIsThatOfPagesThatDoNotGetSmaller) {
  const LiveBlock half = Block(16 * kPageBytes + 100, 0xffff);
  EXPECT_GE(CopyBytesMax(half), 16 * kPageBytes);
  EXPECT_LT(LiveBytes(half), 9 * kPageBytes);
}

TEST(BatchSize, AsksForTheMostThatACopyCanTake) {
  LiveBlocks live;
  LiveSegment& segment = live.segments.emplace_back();
  for (int i = 0; i < 100; ++i) {
    segment.blocks.push_back(Block(16 * kPageBytes + 100, 0xffff));
    segment.live_bytes += LiveBytes(segment.blocks.back());
    segment.copy_bytes_max += CopyBytesMax(segment.blocks.back());
  }
  const std::vector<uint32_t> chosen = {0};
  const uint64_t copy = 100 * 16 * kPageBytes;
  const Result<size_t> refused = BatchSize(live, chosen, copy);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kNoSpace);
  EXPECT_EQ(BatchSize(live, chosen, copy + 2 * kMiB).value(), 1U);
}

}  // namespace
}  // namespace holdfast
