#include "cli/trigger_options.h"

#include <CLI/CLI.hpp>

#include "base/limits.h"
#include "base/units.h"
#include "cli/arguments.h"
#include "linux/signal_names.h"

namespace holdfast {

namespace {

// Remembered with the job, so that it can be taken back.
constexpr const char* kOff = "off";
constexpr uint64_t kDirtyBytesMin = kMiB;
constexpr double kDeadlineSecondsMin = 1;

// `least`: shorter ones are no use.
Result<double> ParseSpan(const std::string& text, const std::string& option, double least, double most,
                         const std::string& hint) {
  Result<double> seconds = ParseDuration(text);
  if (!seconds) return std::move(seconds).error().Within(option);
  if (*seconds >= least && *seconds <= most) return seconds;
  return Fail(ErrorKind::kUsage, option + ": '" + text + "' is out of range").WithHint(hint);
}

Result<void> ParseRhythm(const TriggerFlags& flags, TriggerChanges& changes) {
  constexpr double kMtbfSecondsMin = 1;
  const bool automatic = flags.every == "auto";
  if (automatic != !flags.mtbf.empty()) {
    return Fail(ErrorKind::kUsage, automatic
                                       ? "--every auto needs --mtbf, how often a failure is to be expected"
                                       : "--mtbf goes with --every auto")
        .WithHint("for example --every auto --mtbf 12h");
  }
  if (flags.every.empty()) return {};
  changes.mtbf_s = 0;
  changes.every_s = 0;
  if (automatic) {
    changes.mtbf_s = TRY(ParseSpan(flags.mtbf, "--mtbf", kMtbfSecondsMin, limits::kMtbfSecondsMax,
                                   "the mean time between failures of the machine, for example 12h or 30d"));
  } else if (flags.every != kOff) {
    changes.every_s = TRY(ParseInterval(flags.every));
  }
  return {};
}

Result<uint64_t> ParseDirty(const std::string& text) {
  if (text == kOff) return 0;
  Result<uint64_t> bytes = ParseBytes(text);
  if (!bytes) return std::move(bytes).error().Within("--every-dirty");
  if (*bytes >= kDirtyBytesMin) return bytes;
  return Fail(ErrorKind::kUsage, "--every-dirty: '" + text + "' is less than " + FormatBytes(kDirtyBytesMin))
      .WithHint("for example 512M or 2G");
}

Result<int> ParseTriggerSignal(const std::string& text) {
  if (text == kOff) return 0;
  Result<int> number = ParseSignal(text);
  if (!number) return std::move(number).error().Within("--on-signal");
  if (Result<void> valid = ValidateTriggerSignal(*number); !valid) {
    return std::move(valid).error().Within("--on-signal");
  }
  return number;
}

Result<double> ParseDeadline(const std::string& text) {
  if (text == kOff) return 0;
  return ParseSpan(text, "--deadline", kDeadlineSecondsMin, limits::kDeadlineSecondsMax,
                   "how long after a SIGTERM the job may still run, for example 30s or 2m");
}

}  // namespace

Result<double> ParseFreezeBudget(const std::string& text) {
  constexpr double kLeastMs = 1;
  constexpr double kMsPerSecond = 1000;
  if (text == kOff) return 0;
  return TRY(ParseSpan(text, "--freeze-budget", kLeastMs / kMsPerSecond,
                       limits::kFreezeBudgetMsMax / kMsPerSecond,
                       "how long the job may stand still for a snapshot, for example 50ms")) *
         kMsPerSecond;
}

void AddTriggerOptions(CLI::App& command, TriggerFlags& flags) {
  command
      .add_option("-e,--every", flags.every,
                  "Take a snapshot this often: 30s, 5m, 1h; auto: as often as it pays; off")
      ->type_name("DURATION");
  command
      .add_option("--mtbf", flags.mtbf,
                  "With --every auto: how often the machine fails (mean time between failures): 12h, 30d")
      ->type_name("DURATION");
  command
      .add_option("--every-dirty", flags.every_dirty,
                  "Take a snapshot when so much memory was written since the last one: 512M, 2G; off")
      ->type_name("SIZE");
  command
      .add_option("--on-signal", flags.on_signal,
                  "Take a snapshot when this command gets the signal, and keep the signal from the job; off")
      ->type_name("SIGNAL");
  command
      .add_option("--deadline", flags.deadline,
                  "How long after a SIGTERM the job may run on: deltas make the last snapshot short; off")
      ->type_name("DURATION");
  command
      .add_option("--full-every", flags.full_every,
                  "Make every COUNT-th snapshot a full one that shares nothing with those before; 0: none")
      ->type_name("COUNT")
      ->check(CLI::Range(uint64_t{0}, limits::kFullEveryMax).description(""));
  command
      .add_option("--freeze-budget", flags.freeze_budget,
                  "How long the job may stand still for a snapshot: 50ms; kept if it can be; off")
      ->type_name("DURATION");
}

Result<TriggerChanges> ParseTriggers(const TriggerFlags& flags) {
  TriggerChanges changes;
  TRY(ParseRhythm(flags, changes));
  if (!flags.every_dirty.empty()) changes.every_dirty_bytes = TRY(ParseDirty(flags.every_dirty));
  if (!flags.on_signal.empty()) changes.on_signal = TRY(ParseTriggerSignal(flags.on_signal));
  if (!flags.deadline.empty()) changes.deadline_s = TRY(ParseDeadline(flags.deadline));
  changes.full_every = flags.full_every;
  if (!flags.freeze_budget.empty()) changes.freeze_budget_ms = TRY(ParseFreezeBudget(flags.freeze_budget));
  return changes;
}

Json TriggersToJson(const TriggerSettings& settings) {
  return {{"every_s", settings.every_s},
          {"mtbf_s", settings.mtbf_s},
          {"every_dirty_bytes", settings.every_dirty_bytes},
          {"on_signal", settings.on_signal > 0 ? Json(SignalName(settings.on_signal)) : Json(nullptr)},
          {"deadline_s", settings.deadline_s},
          {"full_every", settings.full_every},
          {"freeze_budget_ms", settings.freeze_budget_ms}};
}

}  // namespace holdfast
