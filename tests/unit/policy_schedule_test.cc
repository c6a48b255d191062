// All triggers of a job together, and the settings that they come from.
#include "policy/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "policy_test_support.h"

namespace holdfast {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

std::string TriggerOf(const std::optional<Due>& due) {
  return due ? due->trigger : "none";
}

Due DueBy(const std::string& trigger) {
  return {.at = At(30), .trigger = trigger, .why = {}};
}

TEST(Schedule, WithoutTriggersIsEmpty) {
  Schedule schedule({}, At(0));
  EXPECT_FALSE(schedule.Next(Written(1e6, kGiB)));
  EXPECT_FALSE(schedule.LooksAtMemory());
  EXPECT_FALSE(schedule.TakeSignal(SIGUSR1, At(1)));
}

TEST(Schedule, WhateverComesFirst) {
  TriggerSettings settings;
  settings.every_s = 30;
  settings.every_dirty_bytes = 100 * kMiB;
  settings.on_signal = SIGUSR1;
  Schedule schedule(settings, At(0));
  EXPECT_TRUE(schedule.LooksAtMemory());
  EXPECT_EQ(TriggerOf(schedule.Next(Untracked(1, kMiB))), "interval");
  EXPECT_EQ(TriggerOf(schedule.Next(Untracked(2, 100 * kMiB))), "dirty");
  EXPECT_TRUE(schedule.TakeSignal(SIGUSR1, At(1)));
  EXPECT_FALSE(schedule.TakeSignal(SIGUSR2, At(1)));
  EXPECT_EQ(TriggerOf(schedule.Next(Untracked(2, 100 * kMiB))), "signal");
  schedule.CheckpointStarted(At(2));
  schedule.CheckpointEnded(Taken(2, 3));
  // Any snapshot begins the interval anew.
  const std::optional<Due> due = schedule.Next(Written(4, kMiB));
  EXPECT_EQ(TriggerOf(due), "interval");
  EXPECT_EQ(due->at, At(32));
}

TEST(Schedule, WithADeadlineLooksAtMemoryWhenItIsTime) {
  TriggerSettings settings;
  settings.deadline_s = 120;
  Schedule schedule(settings, At(0));
  EXPECT_FALSE(schedule.LooksAtMemory());
  EXPECT_TRUE(schedule.ReportsUnsaved());
  schedule.Stop(At(2), {});
  EXPECT_TRUE(schedule.LooksAtMemory());
}

TEST(Schedule, OnceItStopsOnlyThatCounts) {
  TriggerSettings settings;
  settings.every_s = 30;
  settings.on_signal = SIGUSR1;
  Schedule schedule(settings, At(0));
  EXPECT_TRUE(schedule.TakeSignal(SIGUSR1, At(1)));
  schedule.Stop(At(2), {});
  EXPECT_TRUE(schedule.stopping());
  EXPECT_EQ(TriggerOf(schedule.Next(LookAt(2))), "stop");
}

TEST(Schedule, TellsTheCheckpointWhatItIsFor) {
  TriggerSettings settings;
  settings.every_s = 30;
  settings.full_every = 5;
  Schedule schedule(settings, At(0));
  EXPECT_THAT(schedule.Arguments(*schedule.Next(LookAt(30))),
              ElementsAre("--tag", "trigger=interval", "--full-every", "5"));
  schedule.Stop(At(40), {});
  EXPECT_THAT(schedule.Arguments(*schedule.Next(LookAt(40))), ElementsAre("--tag", "trigger=stop", "--stop"));
}

TEST(Schedule, TakesNoFullOneBeforeADeadline) {
  TriggerSettings settings;
  settings.deadline_s = 120;
  settings.full_every = 2;
  Schedule schedule(settings, At(0));
  schedule.Stop(At(0), {});
  const std::optional<Due> delta = schedule.Next(Untracked(0, kGiB));
  ASSERT_TRUE(delta && !delta->last);
  EXPECT_THAT(schedule.Arguments(*delta), ElementsAre("--tag", "trigger=deadline"));
  const std::optional<Due> last = schedule.Next(Untracked(0, kMiB));
  ASSERT_TRUE(last && last->last);
  EXPECT_THAT(schedule.Arguments(*last), ElementsAre("--tag", "trigger=deadline", "--stop"));
}

TEST(Schedule, HasWritesTrackedAsLongAsThatCanBeDone) {
  TriggerSettings settings;
  settings.every_s = 30;
  settings.every_dirty_bytes = kMiB;
  Schedule schedule(settings, At(0));
  EXPECT_THAT(schedule.Arguments(DueBy("interval")), Contains("precopy"));
  schedule.CheckpointEnded(Taken(30, 31));
  EXPECT_EQ(TriggerOf(schedule.Next(Untracked(32, kGiB))), "interval");
  EXPECT_EQ(schedule.TakeRemarks().size(), 1U);
  EXPECT_TRUE(schedule.TakeRemarks().empty());
  EXPECT_THAT(schedule.Arguments(DueBy("interval")), Not(Contains("precopy")));
  EXPECT_THAT(schedule.Arguments(DueBy("dirty")), Contains("precopy"));
}

TEST(TriggerSettings, KeepWhatACommandLineDoesNotMention) {
  TriggerSettings before;
  before.every_s = 30;
  before.on_signal = SIGUSR1;
  before.deadline_s = 120;
  EXPECT_EQ(Apply({}, before), before);
  TriggerChanges changes;
  changes.every_s = 0;
  changes.mtbf_s = 3600;
  changes.on_signal = 0;
  changes.full_every = 4;
  TriggerSettings expected;
  expected.mtbf_s = 3600;
  expected.deadline_s = 120;
  expected.full_every = 4;
  EXPECT_EQ(Apply(changes, before), expected);
}

TEST(TriggerSettings, AreTold) {
  EXPECT_EQ(DescribeTriggers({}), "");
  TriggerSettings settings;
  settings.every_dirty_bytes = 2 * kGiB;
  settings.on_signal = SIGUSR1;
  settings.mtbf_s = 60;
  EXPECT_EQ(DescribeRhythm(settings), "auto, 2.00 GiB");
  settings.mtbf_s = 0;
  settings.every_s = 30;
  EXPECT_EQ(DescribeTriggers(settings), "every 30.00 s, after 2.00 GiB written, on SIGUSR1");
}

TEST(TriggerSettings, KnowWhichSignalsCannotBe) {
  for (const int number : {SIGUSR1, SIGUSR2, SIGHUP, SIGQUIT, SIGPWR, SIGXCPU, SIGRTMIN}) {
    EXPECT_TRUE(ValidateTriggerSignal(number)) << number;
  }
  for (const int number : {SIGTERM, SIGKILL, SIGSTOP, SIGINT, SIGTSTP, SIGCONT, SIGCHLD, SIGSEGV, SIGPIPE, 0,
                           32, 33, SIGRTMAX + 1}) {
    const Result<void> valid = ValidateTriggerSignal(number);
    ASSERT_FALSE(valid) << number;
    EXPECT_EQ(valid.error().kind, ErrorKind::kUsage);
    EXPECT_NE(valid.error().hint, "");
  }
}

}  // namespace
}  // namespace holdfast
