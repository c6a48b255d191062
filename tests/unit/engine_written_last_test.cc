// What of a snapshot's memory its parent does not have.
#include "engine/written_last.h"

#include <gtest/gtest.h>

#include "base/page.h"

namespace holdfast {
namespace {

BlockRef Block(uint8_t content, uint32_t segment, uint32_t raw_bytes = 4 * kPageBytes) {
  BlockRef block;
  block.segment = segment;
  block.raw_bytes = raw_bytes;
  block.hash.fill(content);
  return block;
}

Extent Pages(uint64_t page, uint32_t pages, uint32_t block) {
  return {.address = page * kPageBytes, .pages = pages, .block = block};
}

void Expect(const Stretch& stretch, int32_t pid, uint64_t page, uint64_t pages) {
  EXPECT_EQ(stretch.pid, pid);
  EXPECT_EQ(stretch.address, page * kPageBytes);
  EXPECT_EQ(stretch.bytes, pages * kPageBytes);
}

TEST(WrittenLast, IsWhatTheParentDoesNotHave) {
  Manifest parent;
  parent.blocks = {Block(1, 0), Block(2, 0)};
  Manifest manifest;
  // The second has been moved by a compaction, the third is new, the fourth as long as none of the parent's.
  manifest.blocks = {Block(1, 0), Block(2, 7), Block(3, 0), Block(1, 0, 8 * kPageBytes)};
  manifest.address_spaces = {
      {17, {Pages(10, 4, 0), Pages(14, 4, 2), Pages(18, 4, 3), Pages(22, 4, kZeroBlock), Pages(30, 2, 2)}},
      {18, {Pages(32, 4, 1), Pages(40, 4, 2)}}};
  const std::vector<Stretch> last = WrittenLast(manifest, parent);
  ASSERT_EQ(last.size(), 3U);
  Expect(last[0], 17, 14, 8);
  Expect(last[1], 17, 30, 2);
  Expect(last[2], 18, 40, 4);
}

TEST(WrittenLast, IsNothingWhenNothingWas) {
  Manifest manifest;
  manifest.blocks = {Block(1, 0)};
  manifest.address_spaces = {{17, {Pages(10, 4, 0)}}};
  EXPECT_TRUE(WrittenLast(manifest, manifest).empty());
}

}  // namespace
}  // namespace holdfast
