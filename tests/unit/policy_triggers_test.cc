// When each trigger wants a snapshot.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "policy/adaptive_trigger.h"
#include "policy/dirty_trigger.h"
#include "policy/interval_trigger.h"
#include "policy/lost_time.h"
#include "policy/signal_trigger.h"
#include "policy_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

double DueAt(TriggerSource& source, const Outlook& outlook) {
  const std::optional<Due> due = source.Next(outlook);
  return due ? SecondsBetween(At(0), due->at) : -1;
}

TEST(IntervalTrigger, CountsFromStartToStart) {
  IntervalTrigger trigger(30, At(0));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(1)), 30);
  trigger.CheckpointEnded(Taken(30.5, 40));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(41)), 60.5);
  EXPECT_EQ(trigger.Next(LookAt(41))->trigger, "interval");
  EXPECT_FALSE(trigger.Next(LookAt(41))->last);
}

TEST(IntervalTrigger, LeavesTheJobTimeWithoutACheckpoint) {
  IntervalTrigger trigger(30, At(0));
  trigger.CheckpointEnded(Taken(30, 75));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(75)), 105);
}

TEST(IntervalTrigger, TriesAgainAfterAFailure) {
  IntervalTrigger trigger(30, At(0));
  trigger.CheckpointEnded(FailedOne(30, 31));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(31)), 60);
}

TEST(SignalTrigger, AsksOnceForEachSignal) {
  SignalTrigger trigger(SIGUSR1);
  EXPECT_FALSE(trigger.Next(LookAt(1)));
  trigger.Arrived(At(2));
  trigger.Arrived(At(3));  // before anything was done about the first: one snapshot serves both
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(3)), 2);
  EXPECT_THAT(trigger.Next(LookAt(3))->why, HasSubstr("SIGUSR1"));
  trigger.CheckpointStarted(At(3));
  EXPECT_FALSE(trigger.Next(LookAt(3)));
}

TEST(SignalTrigger, OneThatComesDuringACheckpointAsksForAnother) {
  SignalTrigger trigger(SIGUSR1);
  trigger.CheckpointStarted(At(1));
  trigger.Arrived(At(2));
  trigger.CheckpointEnded(Taken(1, 3));
  EXPECT_TRUE(trigger.Next(LookAt(3)));
}

TEST(SignalTrigger, ASnapshotThatFailsIsTriedAgainAfterAPause) {
  SignalTrigger trigger(SIGUSR1);
  trigger.Arrived(At(1));
  trigger.CheckpointStarted(At(1));
  trigger.CheckpointEnded(FailedOne(1, 2));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(2)), 32);
  trigger.CheckpointStarted(At(32));
  trigger.CheckpointEnded(FailedOne(32, 132));  // as long as it took
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(132)), 232);
  trigger.Arrived(At(140));  // who asks again does not wait
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(140)), 140);
  trigger.CheckpointStarted(At(140));
  trigger.CheckpointEnded(Taken(140, 141));
  EXPECT_FALSE(trigger.Next(LookAt(141)));
}

TEST(SignalTrigger, AFailureThatNoSignalAskedForIsNotItsOwn) {
  SignalTrigger trigger(SIGUSR1);
  trigger.CheckpointStarted(At(1));
  trigger.CheckpointEnded(FailedOne(1, 2));
  EXPECT_FALSE(trigger.Next(LookAt(2)));
}

TEST(SignalTrigger, AnyLaterSnapshotServes) {
  SignalTrigger trigger(SIGUSR1);
  trigger.Arrived(At(1));
  trigger.CheckpointStarted(At(1));
  trigger.CheckpointEnded(FailedOne(1, 2));
  trigger.CheckpointStarted(At(10));
  trigger.CheckpointEnded(Taken(10, 11));
  EXPECT_FALSE(trigger.Next(LookAt(11)));
}

TEST(DirtyTrigger, BeforeTheFirstAllOfMemoryCounts) {
  DirtyTrigger trigger(100 * kMiB);
  EXPECT_FALSE(trigger.Next(LookAt(0)));  // nobody has looked
  EXPECT_FALSE(trigger.Next(Untracked(1, 99 * kMiB)));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Untracked(2, 100 * kMiB)), 2);
}

TEST(DirtyTrigger, ThenWhatIsWritten) {
  DirtyTrigger trigger(100 * kMiB);
  trigger.CheckpointEnded(Taken(0, 4));
  EXPECT_FALSE(trigger.Next(Written(5, 99 * kMiB)));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Written(20, 100 * kMiB)), 20);
  EXPECT_EQ(trigger.Next(Written(20, 100 * kMiB))->trigger, "dirty");
  EXPECT_EQ(trigger.TakeRemark(), "");
}

TEST(DirtyTrigger, LeavesTheJobTimeWithoutACheckpoint) {
  DirtyTrigger trigger(100 * kMiB);
  trigger.CheckpointEnded(Taken(0, 4));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Written(4, 200 * kMiB)), 8);  // as long as it took
  trigger.CheckpointEnded(Taken(8, 8.25));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Written(8.5, 200 * kMiB)), 9.25);
}

TEST(DirtyTrigger, SaysOnceThatItCannotCount) {
  DirtyTrigger trigger(100 * kMiB);
  trigger.CheckpointEnded(Taken(0, 4));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Untracked(5, 500 * kMiB)), 605);
  EXPECT_THAT(trigger.TakeRemark(), HasSubstr("cannot be counted"));
  EXPECT_TRUE(trigger.gave_up());
  trigger.CheckpointEnded(Taken(605, 609));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Untracked(610, 500 * kMiB)), 1210);
  EXPECT_EQ(trigger.TakeRemark(), "");
  // It has become countable, and then is not any more: that is news.
  trigger.CheckpointEnded(Taken(1210, 1214));
  EXPECT_FALSE(trigger.Next(Written(1215, kMiB)));
  EXPECT_FALSE(trigger.gave_up());
  trigger.CheckpointEnded(Taken(1300, 1304));
  EXPECT_TRUE(trigger.Next(Untracked(1305, kMiB)));
  EXPECT_THAT(trigger.TakeRemark(), HasSubstr("cannot be counted"));
}

TEST(DirtyTrigger, ACheckpointThatFailsOrOneByHandSaysNothing) {
  DirtyTrigger trigger(100 * kMiB);
  trigger.CheckpointEnded(FailedOne(0, 4));
  EXPECT_TRUE(trigger.Next(Untracked(5, 500 * kMiB)));
  EXPECT_EQ(trigger.TakeRemark(), "");
  trigger.CheckpointEnded(Taken(10, 14));
  EXPECT_FALSE(trigger.Next(Written(15, kMiB)));
  EXPECT_DOUBLE_EQ(DueAt(trigger, Untracked(700, 500 * kMiB)), 1300);  // taken away by one that is under way
  EXPECT_EQ(trigger.TakeRemark(), "");
  EXPECT_FALSE(trigger.gave_up());
}

// Against what Daly gives in the captions of his figures 3, 4 and 5: 117, 57 and 9.1 minutes between the end
// of a dump that takes 5 minutes and the next one.
TEST(OptimumPeriod, IsDalys) {
  const auto between_dumps_min = [](double mtbf_min) {
    const double cost_min = 5;
    return OptimumPeriodS(cost_min * 60, mtbf_min * 60) / 60 - cost_min;
  };
  EXPECT_NEAR(between_dumps_min(24 * 60), 117, 0.5);
  EXPECT_NEAR(between_dumps_min(6 * 60), 57, 0.5);
  EXPECT_NEAR(between_dumps_min(15), 9.1, 0.05);
}

TEST(OptimumPeriod, IsYoungsWhereACheckpointCostsLittle) {
  EXPECT_NEAR(OptimumPeriodS(0.1, 43200), 92.95, 0.05);
}

TEST(OptimumPeriod, WhereNothingPaysIsTheTimeBetweenFailures) {
  EXPECT_DOUBLE_EQ(OptimumPeriodS(300, 100), 400);
}

TEST(AdaptiveTrigger, TakesTheFirstOneSoonToSeeWhatItCosts) {
  AdaptiveTrigger daily(86400, At(0));
  EXPECT_DOUBLE_EQ(DueAt(daily, LookAt(1)), 60);
  AdaptiveTrigger often(100, At(0));
  EXPECT_DOUBLE_EQ(DueAt(often, LookAt(1)), 10);
}

TEST(AdaptiveTrigger, FollowsWhatCheckpointsCost) {
  AdaptiveTrigger trigger(43200, At(0));
  trigger.CheckpointEnded(Taken(60, 62, 0.1));
  EXPECT_NEAR(DueAt(trigger, LookAt(62)), 60 + 92.95, 0.05);
  EXPECT_THAT(trigger.TakeRemark(), HasSubstr("100 ms"));
  EXPECT_EQ(trigger.TakeRemark(), "");
  trigger.CheckpointEnded(Taken(200, 202, 0.3));  // the mean of the two: 0.2
  EXPECT_NEAR(DueAt(trigger, LookAt(202)), 200 + OptimumPeriodS(0.2, 43200), 0.01);
  EXPECT_EQ(trigger.Next(LookAt(202))->trigger, "adaptive");
}

TEST(AdaptiveTrigger, LeavesTheJobMostOfItsTime) {
  AdaptiveTrigger trigger(100, At(0));
  trigger.CheckpointEnded(Taken(10, 13, 2));  // Daly: 20.7 s
  EXPECT_NEAR(DueAt(trigger, LookAt(13)), 10 + 40, 0.01);
  AdaptiveTrigger slow(10, At(0));
  slow.CheckpointEnded(Taken(1, 31, 0.02));
  EXPECT_NEAR(DueAt(slow, LookAt(31)), 1 + 60, 0.01);
}

TEST(AdaptiveTrigger, AFailureIsTriedAgainAfterAsLongWithoutACheckpoint) {
  AdaptiveTrigger trigger(100, At(0));
  trigger.CheckpointEnded(FailedOne(10, 50));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(50)), 90);
  EXPECT_EQ(trigger.TakeRemark(), "");
  trigger.CheckpointEnded(FailedOne(90, 91));  // at least the period, which is 10 s
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(91)), 101);
  trigger.CheckpointEnded(Taken(101, 104, 2));  // now it is 40 s
  trigger.CheckpointEnded(FailedOne(141, 142));
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(142)), 182);
}

TEST(AdaptiveTrigger, WhatACheckpointWaitedForIsNotItsOwnTime) {
  AdaptiveTrigger trigger(100, At(0));
  CheckpointReport report = Taken(10, 73, 0.001);
  report.waited_s = 60;
  trigger.CheckpointEnded(report);
  EXPECT_DOUBLE_EQ(DueAt(trigger, LookAt(73)), 76);  // three seconds with, three without
}

TEST(LostSeconds, AreWhatTheJobDidNotGetDone) {
  // Two cores busy; during the checkpoint of three seconds one and a half.
  EXPECT_NEAR(LostSeconds(CpuStretch{10, 20}, CpuStretch{3, 4.5}, 0.02), 0.75, 1e-9);
}

TEST(LostSeconds, AreAtLeastTheFreezeAndAtMostAllOfIt) {
  EXPECT_DOUBLE_EQ(LostSeconds(CpuStretch{10, 10}, CpuStretch{3, 3.1}, 0.02), 0.02);
  EXPECT_DOUBLE_EQ(LostSeconds(CpuStretch{10, 10}, CpuStretch{3, -7}, 0.02), 3);
}

TEST(LostSeconds, OfAJobThatHardlyComputesAreTheFreeze) {
  EXPECT_DOUBLE_EQ(LostSeconds(CpuStretch{10, 0.1}, CpuStretch{3, 0}, 0.02), 0.02);
  EXPECT_DOUBLE_EQ(LostSeconds(CpuStretch{0.1, 0.1}, CpuStretch{3, 0}, 0.02), 0.02);
  EXPECT_DOUBLE_EQ(LostSeconds(std::nullopt, CpuStretch{3, 0}, 0.02), 0.02);
  EXPECT_DOUBLE_EQ(LostSeconds(CpuStretch{10, 10}, std::nullopt, 0.02), 0.02);
}

}  // namespace
}  // namespace holdfast
