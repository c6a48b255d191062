// Triggers, from text to what they mean.
#include "cli/trigger_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <functional>

#include "base/units.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

TriggerSettings Everything() {
  TriggerSettings settings;
  settings.every_s = 30;
  settings.every_dirty_bytes = 2 * kGiB;
  settings.on_signal = SIGUSR1;
  settings.deadline_s = 120;
  settings.full_every = 10;
  settings.freeze_budget_ms = 50;
  return settings;
}

TEST(ParseTriggers, WithoutOptionsChangesNothing) {
  EXPECT_EQ(Apply(ParseTriggers({}).value(), Everything()), Everything());
}

TEST(ParseTriggers, TakesEach) {
  TriggerFlags flags;
  flags.every = "30s";
  flags.every_dirty = "2G";
  flags.on_signal = "SIGUSR1";
  flags.deadline = "2m";
  flags.full_every = 10;
  flags.freeze_budget = "50ms";
  TriggerSettings before;
  before.mtbf_s = 5;
  EXPECT_EQ(Apply(ParseTriggers(flags).value(), before), Everything());
}

TEST(ParseTriggers, AnIntervalIsFixedOrAutomatic) {
  TriggerFlags flags;
  flags.every = "auto";
  flags.mtbf = "12h";
  TriggerSettings expected = Everything();
  expected.every_s = 0;
  expected.mtbf_s = 43200;
  EXPECT_EQ(Apply(ParseTriggers(flags).value(), Everything()), expected);
}

TEST(ParseTriggers, EachCanBeTakenBack) {
  TriggerFlags flags;
  flags.every = flags.every_dirty = flags.on_signal = flags.deadline = flags.freeze_budget = "off";
  flags.full_every = 0;
  EXPECT_EQ(Apply(ParseTriggers(flags).value(), Everything()), TriggerSettings{});
  TriggerSettings automatic;
  automatic.mtbf_s = 30;
  EXPECT_EQ(Apply(ParseTriggers(flags).value(), automatic), TriggerSettings{});
}

void ExpectRefused(const std::string& option, const std::function<void(TriggerFlags&)>& set) {
  TriggerFlags flags;
  set(flags);
  const Result<TriggerChanges> changes = ParseTriggers(flags);
  ASSERT_FALSE(changes) << option;
  EXPECT_EQ(changes.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(changes.error().message, HasSubstr(option));
}

TEST(ParseTriggers, RefusesTheRestAndNamesTheOption) {
  for (const char* text : {"0", "soon", "automatic", "99ms", "OFF"}) {
    ExpectRefused("--every", [&](TriggerFlags& flags) { flags.every = text; });
  }
  for (const char* text : {"0", "never", "-1h", "1000000d", "off"}) {
    ExpectRefused("--mtbf", [&](TriggerFlags& flags) { flags.every = "auto", flags.mtbf = text; });
  }
  for (const char* text : {"0", "1000", "much", "-1G", "2X", "1e30G"}) {
    ExpectRefused("--every-dirty", [&](TriggerFlags& flags) { flags.every_dirty = text; });
  }
  for (const char* text : {"TERM", "KILL", "9", "INT", "usr1", "0", "SIGNAL"}) {
    ExpectRefused("--on-signal", [&](TriggerFlags& flags) { flags.on_signal = text; });
  }
  for (const char* text : {"0", "100ms", "2d", "then", "-5s"}) {
    ExpectRefused("--deadline", [&](TriggerFlags& flags) { flags.deadline = text; });
  }
  for (const char* text : {"0", "0.5ms", "2h", "short", "-5ms"}) {
    ExpectRefused("--freeze-budget", [&](TriggerFlags& flags) { flags.freeze_budget = text; });
  }
}

TEST(ParseTriggers, FailuresAndTheAutomaticIntervalGoTogether) {
  ExpectRefused("--mtbf", [](TriggerFlags& flags) { flags.every = "auto"; });
  ExpectRefused("--every auto", [](TriggerFlags& flags) { flags.mtbf = "12h"; });
  ExpectRefused("--every auto", [](TriggerFlags& flags) { flags.every = "30s", flags.mtbf = "12h"; });
}

TEST(TriggersToJson, IsForScripts) {
  const Json json = TriggersToJson(Everything());
  EXPECT_EQ(json.at("every_s"), 30);
  EXPECT_EQ(json.at("on_signal"), "SIGUSR1");
  EXPECT_TRUE(TriggersToJson({}).at("on_signal").is_null());
}

}  // namespace
}  // namespace holdfast
