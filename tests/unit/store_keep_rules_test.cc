// Which snapshots stay when old ones are pruned.
#include "store/keep_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class KeepRulesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC-2", 1);  // two hours east
    ::tzset();
  }
  // At this local time; the versions count from 1.
  void Add(int day, int hour, int minute, const std::string& tag = {}) {
    SnapshotSummary snapshot;
    snapshot.id = {"job", snapshots_.size() + 1};
    std::tm time{};
    time.tm_year = 126;  // 2026-11-02 was a Monday
    time.tm_mon = 10;
    time.tm_mday = day;
    time.tm_hour = hour;
    time.tm_min = minute;
    snapshot.created_ms = ::timelocal(&time) * 1000;
    if (!tag.empty()) snapshot.annotations["tag"] = tag;
    snapshots_.push_back(snapshot);
  }
  std::vector<uint64_t> Removed(const KeepRules& rules) const { return VersionsToRemove(snapshots_, rules); }

  std::vector<SnapshotSummary> snapshots_;
};

TEST_F(KeepRulesTest, NoRuleKeepsAll) {
  Add(2, 0, 0);
  Add(3, 0, 0);
  EXPECT_THAT(Removed({}), IsEmpty());
  EXPECT_THAT(VersionsToRemove({}, {.last = 1}), IsEmpty());
}

TEST_F(KeepRulesTest, TheNewestOfEachPeriodStays) {
  Add(2, 23, 10);  // 1
  Add(2, 23, 50);  // 2
  Add(3, 0, 5);    // 3
  Add(3, 0, 59);   // 4
  Add(3, 9, 0);    // 5
  EXPECT_THAT(Removed({.hourly = 2}), ElementsAre(1, 2, 3));
  EXPECT_THAT(Removed({.hourly = 3}), ElementsAre(1, 3));
  EXPECT_THAT(Removed({.daily = 2}), ElementsAre(1, 3, 4));
  EXPECT_THAT(Removed({.daily = 1}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Removed({.weekly = 9}), ElementsAre(1, 2, 3, 4));
}

TEST_F(KeepRulesTest, WeeksBeginOnMonday) {
  Add(1, 23, 59);  // Sunday
  Add(2, 0, 0);    // Monday
  Add(8, 23, 59);  // Sunday
  Add(9, 0, 0);    // Monday
  EXPECT_THAT(Removed({.weekly = 9}), ElementsAre(2));
}

TEST_F(KeepRulesTest, AnyRuleIsEnough) {
  Add(2, 1, 0);
  Add(2, 2, 0, "best");
  Add(2, 3, 0);
  Add(3, 1, 0);
  Add(3, 2, 0);
  const auto best = [](const SnapshotSummary& snapshot) { return snapshot.annotations.contains("tag"); };
  EXPECT_THAT(Removed({.last = 1, .daily = 2, .besides = best}), ElementsAre(1, 4));
  snapshots_[0].present = true;
  EXPECT_THAT(Removed({.last = 1, .daily = 2, .besides = best}), ElementsAre(4));
}

TEST_F(KeepRulesTest, WhatIsDamagedHasNoDate) {
  Add(2, 1, 0);
  Add(2, 2, 0);
  Add(2, 3, 0);
  snapshots_[0].damage = "cut short";
  snapshots_[0].created_ms = 0;
  EXPECT_THAT(Removed({.last = 1, .daily = 1}), ElementsAre(2));
  EXPECT_THAT(Removed({.last = 1}), ElementsAre(1, 2));
}

}  // namespace
}  // namespace holdfast
