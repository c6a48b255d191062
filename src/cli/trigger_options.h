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
};

void AddTriggerOptions(CLI::App& command, TriggerFlags& flags);
// kUsage, with the option's name, for what makes no sense. Empty texts change nothing.
Result<TriggerChanges> ParseTriggers(const TriggerFlags& flags);

Json TriggersToJson(const TriggerSettings& settings);

}  // namespace holdfast
