// What of a list of stored pages is left of it.
#include "memory/known_pages.h"

#include <gmock/gmock.h>

#include "base/page.h"

namespace holdfast {

// For readable failures, and comparison.
bool operator==(const Extent& a, const Extent& b) {
  return a.address == b.address && a.pages == b.pages && a.block == b.block && a.first_page == b.first_page &&
         a.huge == b.huge;
}
void PrintTo(const Extent& extent, std::ostream* out) {
  *out << extent.address / kPageBytes << "+" << extent.pages << " block " << extent.block << " from "
       << extent.first_page;
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Extent Known(uint64_t page, uint32_t pages, uint32_t block, uint16_t first = 0) {
  return {page * kPageBytes, pages, block, first, false};
}
PageRun Pages(uint64_t page, uint64_t pages) {
  return {page * kPageBytes, pages * kPageBytes, false, false};
}

TEST(Within, KeepsWhatLiesInside) {
  const std::vector<Extent> known = {Known(10, 4, 1), Known(20, 4, 2), Known(30, 4, 3)};
  EXPECT_THAT(Within(known, {Pages(0, 100)}), ElementsAre(known[0], known[1], known[2]));
  EXPECT_THAT(Within(known, {Pages(20, 4)}), ElementsAre(known[1]));
  EXPECT_THAT(Within(known, {Pages(14, 6)}), IsEmpty());
  EXPECT_THAT(Within(known, {}), IsEmpty());
  EXPECT_THAT(Within({}, {Pages(0, 100)}), IsEmpty());
}

TEST(Within, CutsWhatLiesAcross) {
  EXPECT_THAT(Within({Known(10, 8, 1, 2)}, {Pages(8, 4), Pages(13, 2), Pages(17, 9)}),
              ElementsAre(Known(10, 2, 1, 2), Known(13, 2, 1, 5), Known(17, 1, 1, 9)));
}

TEST(Within, CutsZerosAsZeros) {
  EXPECT_THAT(Within({Known(10, 800, kZeroBlock)}, {Pages(100, 5)}), ElementsAre(Known(100, 5, kZeroBlock)));
}

TEST(Without, IsTheRest) {
  const std::vector<Extent> known = {Known(10, 8, 1, 2), Known(20, 4, 2)};
  EXPECT_THAT(Without(known, {}), ElementsAre(known[0], known[1]));
  EXPECT_THAT(Without(known, {Pages(0, 100)}), IsEmpty());
  EXPECT_THAT(Without(known, {Pages(12, 2), Pages(15, 6)}),
              ElementsAre(Known(10, 2, 1, 2), Known(14, 1, 1, 6), Known(21, 3, 2, 1)));
  EXPECT_THAT(Without(known, {Pages(18, 2)}), ElementsAre(known[0], known[1]));
}

TEST(RunsOf, JoinsWhatLiesSideBySide) {
  const std::vector<PageRun> runs = RunsOf({Known(10, 8, 1, 2), Known(18, 4, 2), Known(23, 1, kZeroBlock)});
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].address, 10 * kPageBytes);
  EXPECT_EQ(runs[0].bytes, 12 * kPageBytes);
  EXPECT_EQ(runs[1].address, 23 * kPageBytes);
  EXPECT_EQ(runs[1].bytes, kPageBytes);
}

TEST(WithinAndWithout, AddUpToAll) {
  const std::vector<Extent> known = {Known(3, 5, 1), Known(8, 20, 2, 1), Known(40, 1, 3)};
  const std::vector<PageRun> runs = {Pages(0, 4), Pages(6, 3), Pages(12, 1), Pages(25, 16)};
  uint64_t pages = 0;
  for (const Extent& extent : Within(known, runs)) pages += extent.pages;
  for (const Extent& extent : Without(known, runs)) pages += extent.pages;
  EXPECT_EQ(pages, 26U);
  EXPECT_EQ(TotalBytes(runs), 24 * kPageBytes);
}

}  // namespace
}  // namespace holdfast
