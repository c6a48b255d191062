// The last snapshot, and the deltas before it when there is a deadline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "policy/duration_predictor.h"
#include "policy/stop_trigger.h"
#include "policy_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

TEST(DurationPredictor, KnowsNothingAndSaysSomethingSlow) {
  const DurationPredictor predictor;
  EXPECT_FALSE(predictor.knows_little_ones());
  EXPECT_GE(predictor.PredictS(0), 1);
  EXPECT_GE(predictor.PredictS(kGiB), 20);
}

TEST(DurationPredictor, TakesTheSlowestOfThoseThatCount) {
  DurationPredictor predictor;
  predictor.Add(kMiB, 0.2);
  predictor.Add(kMiB, 0.3);
  predictor.Add(kGiB, 4);
  predictor.Add(kGiB, 2);
  EXPECT_TRUE(predictor.knows_little_ones());
  EXPECT_DOUBLE_EQ(predictor.PredictS(0), 0.3);
  EXPECT_DOUBLE_EQ(predictor.PredictS(kGiB / 2), 0.3 + 2);
}

TEST(DurationPredictor, WithoutALittleOneTheShortestMayBeAllFixed) {
  DurationPredictor predictor;
  predictor.Add(kGiB, 4);
  predictor.Add(100 * kMiB, 3);  // shared memory, say, that is captured each time
  EXPECT_DOUBLE_EQ(predictor.PredictS(0), 3);
}

TEST(DurationPredictor, NeverPredictsLessThanWhatWasMeasured) {
  DurationPredictor predictor;
  const std::vector<std::pair<uint64_t, double>> samples = {
      {0, 0.2}, {20 * kMiB, 0.5}, {50 * kMiB, 0.4}, {100 * kMiB, 1.5}, {3 * kGiB, 11}};
  for (const auto& [bytes, seconds] : samples) predictor.Add(bytes, seconds);
  for (const auto& [bytes, seconds] : samples) EXPECT_GE(predictor.PredictS(bytes), seconds) << bytes;
}

TEST(DurationPredictor, ExpectsTheMeanSpeed) {
  DurationPredictor predictor;
  predictor.Add(kMiB, 50);
  predictor.Add(kGiB, 4);
  predictor.Add(kGiB, 2);
  EXPECT_DOUBLE_EQ(predictor.ExpectS(2 * kGiB), 6);
}

TEST(DurationPredictor, ForgetsWhatIsLongAgo) {
  DurationPredictor predictor;
  predictor.Add(kMiB, 50);
  for (int i = 0; i < 8; ++i) predictor.Add(kMiB, 0.2);
  EXPECT_DOUBLE_EQ(predictor.PredictS(0), 0.2);
}

TEST(DurationPredictor, TakesOverWhatAnotherKnows) {
  DurationPredictor predictor;
  predictor.Add(kMiB, 0.3);
  DurationPredictor later;
  later.Add(kMiB, 0.2);
  predictor.Add(later);
  EXPECT_DOUBLE_EQ(predictor.PredictS(0), 0.3);
}

TEST(StopTrigger, WantsNothingUntilItIsTold) {
  StopTrigger trigger(120);
  EXPECT_FALSE(trigger.Next(Written(1, kGiB)));
  EXPECT_FALSE(trigger.begun());
}

TEST(StopTrigger, WithoutADeadlineTheLastOneIsTakenAtOnce) {
  StopTrigger trigger(0);
  trigger.Begin(At(5), {});
  const std::optional<Due> due = trigger.Next(LookAt(5));
  ASSERT_TRUE(due);
  EXPECT_TRUE(due->last);
  EXPECT_EQ(due->trigger, "stop");
}

// 0.2 s for nothing, and a second for each 250 MiB.
DurationPredictor Measured() {
  DurationPredictor predictor;
  predictor.Add(0, 0.2);
  predictor.Add(500 * kMiB, 2);
  return predictor;
}

struct Outcome {
  std::vector<uint64_t> saved;  // by each checkpoint
  double ended_s = 0;           // after the SIGTERM
  double last_took_s = 0;
};

// A job that has `memory` bytes and writes `per_s` of them anew, on a machine that takes `slowness` times
// what is predicted. The decisions are the trigger's.
Outcome Simulate(double deadline_s, uint64_t unsaved, uint64_t memory, double per_s, double slowness = 1) {
  const DurationPredictor machine = Measured();
  StopTrigger trigger(deadline_s);
  trigger.Begin(At(0), Measured());
  Outcome outcome;
  double now = 0;
  double since = -1000;
  for (int round = 0; round < 100; ++round) {
    const std::optional<Due> due = trigger.Next(Written(now, unsaved, now - since));
    EXPECT_TRUE(due);
    EXPECT_EQ(due->trigger, "deadline");
    const double takes = machine.PredictS(unsaved) * slowness;
    CheckpointReport report = Taken(now, now + takes);
    report.unsaved_bytes = unsaved;
    outcome.saved.push_back(unsaved);
    trigger.CheckpointEnded(report);
    since = now;
    now += takes;
    unsaved = static_cast<uint64_t>(std::min(static_cast<double>(memory), per_s * takes));
    if (!due->last) continue;
    outcome.ended_s = now;
    outcome.last_took_s = takes;
    return outcome;
  }
  ADD_FAILURE() << "it never stops";
  return outcome;
}

TEST(StopTrigger, DeltasBecomeSmallerUntilTheLastOneIsShort) {
  const Outcome outcome = Simulate(120, 2 * kGiB, 8 * kGiB, 50.0 * kMiB);
  ASSERT_GE(outcome.saved.size(), 3U);
  for (size_t i = 1; i < outcome.saved.size(); ++i) EXPECT_LT(outcome.saved[i], outcome.saved[i - 1]);
  EXPECT_LT(outcome.last_took_s, 0.5);
  EXPECT_LT(outcome.ended_s, 20);
}

TEST(StopTrigger, AJobThatRewritesEverythingIsStoppedSoon) {
  const Outcome outcome = Simulate(120, kGiB, kGiB, 4.0 * kGiB);
  EXPECT_LE(outcome.saved.size(), 2U);  // the speed since the last snapshot, long ago, promised more
  EXPECT_LT(outcome.ended_s, 20);
}

TEST(StopTrigger, LittleIsSavedByTheLastOneAtOnce) {
  EXPECT_EQ(Simulate(120, 10 * kMiB, kGiB, 1.0 * kMiB).saved.size(), 1U);
}

TEST(StopTrigger, TakesNoDeltaThatMightNotLeaveTimeEnough) {
  // A checkpoint of it takes 8.4 s. Two of them, each half as long again, and a second: 26.2 s.
  EXPECT_EQ(Simulate(26, 2 * kGiB, 8 * kGiB, 50.0 * kMiB).saved.size(), 1U);
  EXPECT_GE(Simulate(27, 2 * kGiB, 8 * kGiB, 50.0 * kMiB).saved.size(), 2U);
}

// As long as it takes no more than half as long again as predicted, and the job writes no more than was
// unsaved while that is saved.
TEST(StopTrigger, IsOverByTheDeadlineWheneverTheLastOneAloneWouldBe) {
  int simulated = 0;
  for (const uint64_t unsaved : {10 * kMiB, 200 * kMiB, kGiB, 4 * kGiB}) {
    for (const double per_s : {0.0, 1e6, 1e8, 1e9, 1e10}) {
      for (double deadline_s = 1; deadline_s < 200; deadline_s *= 1.3) {
        for (const double slowness : {0.5, 1.0, 1.5}) {
          const double alone_s = Measured().PredictS(unsaved) * slowness;
          if (alone_s > deadline_s || per_s * alone_s > static_cast<double>(unsaved)) continue;
          ++simulated;
          EXPECT_LE(Simulate(deadline_s, unsaved, 4 * kGiB, per_s, slowness).ended_s, deadline_s)
              << unsaved << " bytes, " << per_s << "/s, " << deadline_s << " s, " << slowness;
        }
      }
    }
  }
  EXPECT_GT(simulated, 100);
}

TEST(StopTrigger, SaysWhatItPredicts) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  Outlook outlook = Written(1, 500 * kMiB, 100);
  EXPECT_THAT(trigger.Next(outlook)->why, HasSubstr("1 min 59 s until the deadline"));
  EXPECT_THAT(trigger.Next(outlook)->why, HasSubstr("500.0 MiB not saved"));
  EXPECT_THAT(trigger.Next(outlook)->why, HasSubstr("a delta takes at most about 2.20 s"));
  EXPECT_FALSE(trigger.Next(outlook)->last);
  outlook = Written(1, kMiB, 100);
  EXPECT_THAT(trigger.Next(outlook)->why, HasSubstr("the last one takes at most about 204 ms"));
  EXPECT_THAT(trigger.Next(outlook)->why, HasSubstr("would not make it shorter"));
}

TEST(StopTrigger, WhereNothingIsTrackedOneDeltaIsTried) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  EXPECT_FALSE(trigger.Next(Untracked(0, kGiB))->last);
  CheckpointReport report = Taken(0, 5);
  report.unsaved_bytes = kGiB;
  trigger.CheckpointEnded(report);
  EXPECT_TRUE(trigger.Next(Untracked(5, kGiB))->last);  // and it has not begun the tracking
}

TEST(StopTrigger, AsLongAsNoLittleOneWasMeasuredBytesDecide) {
  StopTrigger trigger(120);
  DurationPredictor earlier;
  earlier.Add(kGiB, 4);
  trigger.Begin(At(0), earlier);
  EXPECT_FALSE(trigger.Next(Written(0, 200 * kMiB, 100))->last);  // 2 MiB a second
  EXPECT_TRUE(trigger.Next(Written(0, 200 * kMiB, 0.5))->last);   // 400: as much again while it is saved
}

TEST(StopTrigger, KnowsWhatCheckpointsTookBeforeItWasTold) {
  StopTrigger trigger(120);
  CheckpointReport report = Taken(0, 7);
  report.unsaved_bytes = kMiB;
  trigger.CheckpointEnded(report);
  trigger.Begin(At(10), Measured());
  EXPECT_THAT(trigger.Next(Written(10, 0))->why, HasSubstr("about 7.00 s"));
}

TEST(StopTrigger, AfterADeltaThatFailsComesTheLastOne) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  EXPECT_FALSE(trigger.Next(Written(0, kGiB, 1000))->last);
  trigger.CheckpointEnded(FailedOne(0, 1));
  EXPECT_TRUE(trigger.Next(Written(1, kGiB, 1000))->last);
  EXPECT_THAT(trigger.Next(Written(1, kGiB, 1000))->why, HasSubstr("a delta failed"));
}

CheckpointReport FailedLast(double from_s, double to_s) {
  CheckpointReport failed = FailedOne(from_s, to_s);
  failed.last = true;
  return failed;
}

TEST(StopTrigger, ALastOneThatFailsIsTriedAgainWhileThereIsTime) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  trigger.CheckpointEnded(FailedLast(0, 1));
  EXPECT_TRUE(trigger.TriesAgain(Written(1, kMiB)));
  EXPECT_TRUE(trigger.Next(Written(1, kMiB))->last);
  EXPECT_FALSE(
      trigger.TriesAgain(Written(118, kMiB)));  // as long as it took, half as long again, and a second
  trigger.CheckpointEnded(FailedLast(1, 2));
  EXPECT_TRUE(trigger.TriesAgain(Written(2, kMiB)));
  trigger.CheckpointEnded(FailedLast(2, 3));
  EXPECT_FALSE(trigger.TriesAgain(Written(3, kMiB)));  // enough of it
  StopTrigger without(0);
  without.Begin(At(0), Measured());
  without.CheckpointEnded(FailedLast(0, 1));
  EXPECT_FALSE(without.TriesAgain(LookAt(1)));
}

// One that failed leaves no tracking: what was little to save is all of the memory then.
TEST(StopTrigger, AfterALastOneThatFailedComesNoDelta) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  EXPECT_TRUE(trigger.Next(Written(0, kMiB, 1000))->last);
  trigger.CheckpointEnded(FailedLast(0, 0.2));
  EXPECT_TRUE(trigger.TriesAgain(Untracked(0.2, kGiB)));
  EXPECT_TRUE(trigger.Next(Untracked(0.2, kGiB))->last);
  EXPECT_THAT(trigger.Next(Untracked(0.2, kGiB))->why, HasSubstr("once more"));
}

TEST(StopTrigger, ALastOneIsTriedAgainOnlyWhenAllThatIsUnsavedThenFits) {
  StopTrigger trigger(10);
  trigger.Begin(At(0), Measured());
  CheckpointReport failed = FailedLast(0, 0.2);
  failed.unsaved_bytes = kMiB;
  trigger.CheckpointEnded(failed);
  // 250 MiB a second: 2 GiB take 8.4 s, and half as long again is more than there is.
  EXPECT_FALSE(trigger.TriesAgain(Untracked(0.2, 2 * kGiB)));
  EXPECT_TRUE(trigger.TriesAgain(Untracked(0.2, kGiB)));
  EXPECT_FALSE(trigger.TriesAgain(Untracked(4, kGiB)));
  EXPECT_FALSE(trigger.TriesAgain(LookAt(0.2)));  // nobody knows
}

TEST(StopTrigger, PredictsWithoutWhatEarlierOnesWaitedFor) {
  StopTrigger trigger(120);
  CheckpointReport report = Taken(0, 67);
  report.waited_s = 60;
  report.unsaved_bytes = kMiB;
  trigger.CheckpointEnded(report);
  trigger.Begin(At(70), Measured());
  EXPECT_THAT(trigger.Next(Written(70, 0))->why, HasSubstr("about 7.00 s"));
}

TEST(StopTrigger, OneThatWasUnderWayIsNoDelta) {
  StopTrigger trigger(120);
  trigger.Begin(At(10), Measured());
  trigger.CheckpointEnded(FailedOne(5, 12));
  EXPECT_FALSE(trigger.Next(Written(12, kGiB, 1000))->last);
}

TEST(StopTrigger, WithoutALookTheLastOneIsTakenAtOnce) {
  StopTrigger trigger(120);
  trigger.Begin(At(0), Measured());
  EXPECT_TRUE(trigger.Next(LookAt(0))->last);
}

}  // namespace
}  // namespace holdfast
