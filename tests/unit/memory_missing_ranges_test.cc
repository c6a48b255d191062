#include "memory/missing_ranges.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(MissingRanges, WhatLiesSideBySideIsOne) {
  MissingRanges missing;
  missing.Add({10, 20, 110});
  missing.Add({20, 30, 120});
  missing.Add({30, 40, 500});  // of another place
  EXPECT_THAT(missing.Within(0, 100), ElementsAre(MissingRange{10, 30, 110}, MissingRange{30, 40, 500}));
  EXPECT_EQ(missing.bytes(), 30u);
}

TEST(MissingRanges, PartsAreTakenFromTheMiddle) {
  MissingRanges missing;
  missing.Add({10, 40, 110});
  EXPECT_THAT(missing.Take(20, 30), ElementsAre(MissingRange{20, 30, 120}));
  EXPECT_THAT(missing.Take(20, 30), IsEmpty());
  EXPECT_THAT(missing.Within(0, 100), ElementsAre(MissingRange{10, 20, 110}, MissingRange{30, 40, 130}));
  EXPECT_EQ(missing.FirstFrom(15), (MissingRange{15, 20, 115}));
  EXPECT_EQ(missing.FirstFrom(20), (MissingRange{30, 40, 130}));
  EXPECT_EQ(missing.FirstFrom(40), std::nullopt);
}

// Against one number for each place.
TEST(MissingRanges, RandomOperations) {
  constexpr uint64_t kPlaces = 200;
  const uint64_t seed = TestSeed();
  std::mt19937_64 random(seed);
  MissingRanges missing;
  std::vector<uint64_t> model(kPlaces, 0);  // what belongs there; 0: nothing is missing
  const auto check = [&] {
    std::vector<uint64_t> seen(kPlaces, 0);
    for (const MissingRange& range : missing.Within(0, kPlaces)) {
      for (uint64_t at = range.start; at < range.end; ++at) seen.at(at) = range.stored + (at - range.start);
    }
    return seen == model;
  };
  for (int round = 0; round < 20'000; ++round) {
    const uint64_t start = random() % kPlaces;
    const uint64_t end = start + 1 + random() % (kPlaces - start);
    const bool is_free =
        std::all_of(model.begin() + static_cast<ptrdiff_t>(start),
                    model.begin() + static_cast<ptrdiff_t>(end), [](uint64_t stored) { return stored == 0; });
    if (is_free && random() % 2 == 0) {
      const uint64_t stored = 1000 + random() % 1000;
      missing.Add({start, end, stored});
      for (uint64_t at = start; at < end; ++at) model[at] = stored + (at - start);
    } else if (random() % 3 == 0) {
      missing.Take(start, start + (end - start) / 4 + 1);
      for (uint64_t at = start; at < start + (end - start) / 4 + 1; ++at) model.at(at) = 0;
    } else {
      uint64_t first = start;
      while (first < kPlaces && model[first] == 0) ++first;
      const std::optional<MissingRange> found = missing.FirstFrom(start);
      ASSERT_EQ(found.has_value(), first < kPlaces) << "seed " << seed;
      if (found) {
        ASSERT_EQ(found->start, first) << "seed " << seed;
        ASSERT_EQ(found->stored, model[first]) << "seed " << seed;
      }
    }
    ASSERT_TRUE(check()) << "seed " << seed << ", round " << round;
  }
}

}  // namespace
}  // namespace holdfast
