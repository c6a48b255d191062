// What `run`, `resume`, `rollback` and `clone` have in common: when snapshots are taken by themselves.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/output.h"
#include "policy/trigger_settings.h"

namespace holdfast {

struct TriggerFlags {
  std::string every;
  std::string mtbf;
  std::string every_dirty;
  std::string on_signal;
  std::string deadline;
  std::optional<uint64_t> full_every;
  std::string freeze_budget;
};

void AddTriggerOptions(CLI::App& command, TriggerFlags& flags);
// kUsage, with the option's name, for what makes no sense. Empty texts change nothing.
Result<TriggerChanges> ParseTriggers(const TriggerFlags& flags);

// "50ms" -> 50; "off" -> 0. kUsage for what is no duration or out of range.
Result<double> ParseFreezeBudget(const std::string& text);

Json TriggersToJson(const TriggerSettings& settings);

}  // namespace holdfast
