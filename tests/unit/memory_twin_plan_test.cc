// What a partial twin leaves out, from numbers alone.
#include "memory/twin_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "base/page.h"
#include "base/units.h"
#include "memory/known_pages.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kBase = 64 * kGiB;
constexpr size_t kMany = 512;

// All of it resident in small pages.
PlannedMapping Full(uint64_t start, uint64_t bytes) {
  return {.start = start, .end = start + bytes, .small_bytes = bytes, .may_be_cut = true};
}

PageRun Written(uint64_t address, uint64_t bytes) {
  return {address, bytes, false, false};
}

TEST(PartialTwin, HasWhatWasWritten) {
  const TwinPlan plan =
      PlanPartialTwin({Full(kBase, 4 * kGiB)}, {Written(kBase + 2 * kGiB, 64 * kMiB)}, {.ranges_max = kMany});
  EXPECT_THAT(plan.left_out, ElementsAre(TwinRange{kBase + 2 * kMiB, kBase + 2 * kGiB},
                                         TwinRange{kBase + 2 * kGiB + 64 * kMiB, kBase + 4 * kGiB}));
  EXPECT_EQ(TotalBytes(plan.in_twin), 64 * kMiB);
  EXPECT_THAT(plan.copied, IsEmpty());
  EXPECT_EQ(plan.forked_bytes, 66 * kMiB);
  EXPECT_LT(plan.predicted_ms, PlanWholeTwin({Full(kBase, 4 * kGiB)}, {}).predicted_ms / 10);
}

TEST(PartialTwin, ScatteredPagesAreCopiedInstead) {
  std::vector<PageRun> written;
  for (uint64_t at = 0; at < 4 * kGiB; at += 16 * kMiB) written.push_back(Written(kBase + at, kPageBytes));
  const TwinPlan plan = PlanPartialTwin({Full(kBase, 4 * kGiB)}, written, {.ranges_max = kMany});
  EXPECT_THAT(plan.left_out, SizeIs(1));
  EXPECT_EQ(plan.copied.size(), written.size() - 1);  // the first page is in any twin
}

TEST(PartialTwin, OfLittleMemoryIsWhole) {
  const TwinPlan plan =
      PlanPartialTwin({Full(kBase, kMiB)}, {Written(kBase, kPageBytes)}, {.ranges_max = kMany});
  EXPECT_THAT(plan.left_out, IsEmpty());
  EXPECT_EQ(TotalBytes(plan.in_twin), kPageBytes);
}

TEST(PartialTwin, LeavesTheLongestOutWhereThereMayBeFew) {
  std::vector<PageRun> written;
  for (uint64_t i = 1; i < 8; ++i) written.push_back(Written(kBase + i * i * 32 * kMiB, 4 * kMiB));
  const TwinPlan all = PlanPartialTwin({Full(kBase, 4 * kGiB)}, written, {.ranges_max = kMany});
  const TwinPlan few = PlanPartialTwin({Full(kBase, 4 * kGiB)}, written, {.ranges_max = 2});
  ASSERT_THAT(all.left_out, SizeIs(8));
  EXPECT_THAT(few.left_out, ElementsAre(all.left_out[6], all.left_out[7]));
  EXPECT_THAT(PlanPartialTwin({Full(kBase, 4 * kGiB)}, written, {}).left_out, IsEmpty());
}

TEST(PartialTwin, WhatForkDoesNotGiveIsCopied) {
  PlannedMapping not_forked = Full(kBase, 64 * kMiB);
  not_forked.not_forked = true;
  const TwinPlan plan = PlanPartialTwin({not_forked, Full(kBase + kGiB, 64 * kMiB)},
                                        {Written(kBase + kMiB, kPageBytes), Written(kBase + kGiB, kMiB)},
                                        {.ranges_max = kMany});
  EXPECT_EQ(TotalBytes(plan.copied), kPageBytes);
  EXPECT_EQ(TotalBytes(plan.in_twin), kMiB);
  for (const TwinRange& range : plan.left_out) EXPECT_GE(range.start, kBase + kGiB);
}

class RandomCase {
 public:
  explicit RandomCase(std::mt19937_64& chance) : chance_(chance) {
    uint64_t at = kBase;
    const uint64_t mappings = 1 + chance_() % 12;
    for (uint64_t i = 0; i < mappings; ++i) {
      at += chance_() % 3 * kPageBytes;
      AddMapping(at, 1 + SomePages());
      at = mappings_.back().end;
    }
    for (uint64_t i = chance_() % 4; i > 0; --i) rules_.kept.push_back(kBase + chance_() % (at - kBase));
    rules_.ranges_max = chance_() % 5 == 0 ? chance_() % 4 : kMany;
    rules_.all_that_can_be = chance_() % 2 == 0;
  }

  std::vector<PlannedMapping> mappings_;
  std::vector<PageRun> written_;
  TwinPlanRules rules_;

 private:
  // Now few, now many.
  uint64_t SomePages() { return chance_() % (1ull << (chance_() % 16)); }

  void AddMapping(uint64_t start, uint64_t pages) {
    PlannedMapping mapping{.start = start, .end = start + pages * kPageBytes};
    mapping.small_bytes = chance_() % (pages + 1) * kPageBytes;
    if (chance_() % 4 == 0) mapping.huge_bytes = pages * kPageBytes - mapping.small_bytes;
    mapping.may_be_cut = chance_() % 4 != 0;
    mapping.not_forked = chance_() % 6 == 0;
    mappings_.push_back(mapping);
    uint64_t page = SomePages();
    while (page < pages) {
      const uint64_t count = std::min(1 + SomePages() / 8, pages - page);
      written_.push_back(Written(start + page * kPageBytes, count * kPageBytes));
      page += count + 1 + SomePages();
    }
  }

  std::mt19937_64& chance_;
};

// Where each page goes, one by one.
void ExpectSound(const RandomCase& given, const TwinPlan& plan) {
  EXPECT_LE(plan.left_out.size(), given.rules_.ranges_max);
  uint64_t behind = 0;
  for (const TwinRange& range : plan.left_out) {
    ASSERT_LT(range.start, range.end);
    ASSERT_GE(range.start, behind);
    behind = range.end;
    const auto mapping =
        std::find_if(given.mappings_.begin(), given.mappings_.end(),
                     [&range](const PlannedMapping& each) { return range.start < each.end; });
    ASSERT_NE(mapping, given.mappings_.end());
    ASSERT_TRUE(mapping->may_be_cut && !mapping->not_forked);
    ASSERT_TRUE(range.start >= mapping->start + kPageBytes && range.end <= mapping->end);
    ASSERT_TRUE(range.start % kPageBytes == 0 && range.end % kPageBytes == 0);
    if (mapping->huge_bytes > 0) {
      ASSERT_EQ(range.start % (2 * kMiB), 0u);
      ASSERT_TRUE(range.end % (2 * kMiB) == 0 || range.end == mapping->end);
    }
    for (const uint64_t address : given.rules_.kept) {
      ASSERT_FALSE(address >= range.start && address < range.end);
    }
  }
  std::map<uint64_t, int> places;  // 1: copied, 2: in the twin
  const auto note = [&places](const std::vector<PageRun>& runs, int place) {
    for (const PageRun& run : runs) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes) places[at] += place;
    }
  };
  note(plan.copied, 1);
  note(plan.in_twin, 2);
  size_t pages = 0;
  for (const PageRun& run : given.written_) {
    const auto mapping = std::find_if(given.mappings_.begin(), given.mappings_.end(),
                                      [&run](const PlannedMapping& each) { return run.address < each.end; });
    for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes, ++pages) {
      const bool left_out =
          std::any_of(plan.left_out.begin(), plan.left_out.end(),
                      [at](const TwinRange& range) { return at >= range.start && at < range.end; });
      ASSERT_EQ(places[at], left_out || mapping->not_forked ? 1 : 2) << at;
    }
  }
  EXPECT_EQ(places.size(), pages);
}

TEST(PartialTwin, RandomMemory) {
  const uint64_t seed = TestSeed();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 chance(seed);
  size_t ranges = 0;
  for (int i = 0; i < 2000 && !::testing::Test::HasFatalFailure(); ++i) {
    const RandomCase given(chance);
    const TwinPlan plan = PlanPartialTwin(given.mappings_, given.written_, given.rules_);
    ranges += plan.left_out.size();
    ExpectSound(given, plan);
    RandomCase whole = given;
    whole.rules_.ranges_max = 0;
    ExpectSound(whole, PlanWholeTwin(given.mappings_, given.written_));
  }
  EXPECT_GT(ranges, 2000u);
}

}  // namespace
}  // namespace holdfast
