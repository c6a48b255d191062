#include "policy/trigger_settings.h"

#include <fmt/format.h>

#include <csignal>
#include <vector>

#include "base/units.h"
#include "linux/signal_names.h"

namespace holdfast {

namespace {

std::string Join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

}  // namespace

TriggerSettings Apply(const TriggerChanges& changes, TriggerSettings settings) {
  settings.every_s = changes.every_s.value_or(settings.every_s);
  settings.mtbf_s = changes.mtbf_s.value_or(settings.mtbf_s);
  settings.every_dirty_bytes = changes.every_dirty_bytes.value_or(settings.every_dirty_bytes);
  settings.on_signal = changes.on_signal.value_or(settings.on_signal);
  settings.deadline_s = changes.deadline_s.value_or(settings.deadline_s);
  settings.full_every = changes.full_every.value_or(settings.full_every);
  settings.freeze_budget_ms = changes.freeze_budget_ms.value_or(settings.freeze_budget_ms);
  return settings;
}

Result<void> ValidateTriggerSignal(int number) {
  const Error refused = Fail(ErrorKind::kUsage, SignalName(number) + " cannot be a trigger");
  // Between the named ones and SIGRTMIN the C library keeps some for itself.
  const bool known = (number > 0 && number <= SIGSYS) || (number >= SIGRTMIN && number <= SIGRTMAX);
  if (!known) return Error(refused).WithHint("no program can ask for it; for example USR1");
  switch (number) {
    case SIGTERM:
      return Error(refused).WithHint(
          "it takes a last snapshot and stops the job; --deadline says how long that may take");
    case SIGKILL:
    case SIGSTOP:
      return Error(refused).WithHint("nobody can catch it; for example USR1");
    case SIGINT:
    case SIGTSTP:
    case SIGCONT:
    case SIGWINCH:
      return Error(refused).WithHint("it is what a terminal says to the job; for example USR1");
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGSYS:
    case SIGCHLD:
    case SIGPIPE:
    case SIGTTIN:
    case SIGTTOU:
    case SIGURG:
      return Error(refused).WithHint("it has a meaning of its own for a supervisor; for example USR1");
    default:
      return {};
  }
}

std::string DescribeRhythm(const TriggerSettings& settings) {
  std::vector<std::string> parts;
  if (settings.every_s > 0) parts.push_back(FormatSeconds(settings.every_s));
  if (settings.mtbf_s > 0) parts.emplace_back("auto");
  if (settings.every_dirty_bytes > 0) parts.push_back(FormatBytes(settings.every_dirty_bytes));
  return Join(parts);
}

std::string DescribeTriggers(const TriggerSettings& settings) {
  std::vector<std::string> parts;
  if (settings.every_s > 0) parts.push_back("every " + FormatSeconds(settings.every_s));
  if (settings.mtbf_s > 0) {
    parts.push_back(
        fmt::format("as often as it pays with a failure every {}", FormatSeconds(settings.mtbf_s)));
  }
  if (settings.every_dirty_bytes > 0) {
    parts.push_back("after " + FormatBytes(settings.every_dirty_bytes) + " written");
  }
  if (settings.on_signal > 0) parts.push_back("on " + SignalName(settings.on_signal));
  if (settings.deadline_s > 0) {
    parts.push_back(fmt::format("the last one within {} of a SIGTERM", FormatSeconds(settings.deadline_s)));
  }
  if (settings.full_every > 0) parts.push_back(fmt::format("a full one in {}", settings.full_every));
  if (settings.freeze_budget_ms > 0) {
    parts.push_back("with freezes of at most " + FormatMilliseconds(settings.freeze_budget_ms));
  }
  return Join(parts);
}

}  // namespace holdfast
