#include "engine/freeze_account.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/units.h"

namespace holdfast {
namespace {

constexpr const char* kPredictedFact = "freeze-predicted-ms";
constexpr const char* kRestFact = "freeze-rest-ms";
constexpr const char* kProcessesFact = "freeze-processes";
constexpr const char* kRoundsFact = "precopy-rounds";
constexpr const char* kWrittenFact = "freeze-written-bytes";
constexpr const char* kBudgetFact = "freeze-budget-ms";
constexpr const char* kMissedFact = "freeze-budget-missed";

std::string FactOf(const Manifest& manifest, const char* key) {
  const auto fact = manifest.engine_facts.find(key);
  return fact == manifest.engine_facts.end() ? "" : fact->second;
}

double NumberOf(const Manifest& manifest, const char* key) {
  return std::strtod(FactOf(manifest, key).c_str(), nullptr);
}

struct Sums {
  double predicted_ms = 0;
  double capture_ms = 0;
  uint64_t written_bytes = 0;
  uint64_t untracked_bytes = 0;
};

Sums SumUp(const Captured& captured) {
  Sums sums;
  for (const CapturedTask& task : captured.tasks) {
    sums.predicted_ms += task.choice.predicted_ms;
    sums.capture_ms += task.capture_ms;
    (task.tracked ? sums.written_bytes : sums.untracked_bytes) +=
        task.tracked ? task.captured_bytes : task.info.resident_bytes;
  }
  return sums;
}

// What took the most of it.
std::string WhyMissed(const CheckpointOptions& options, const Manifest& manifest, const Sums& sums,
                      double rest_ms, double predicted_ms, int rounds) {
  if (options.capture != CaptureWay::kAuto) return "the way of capture was asked for";
  if (rest_ms > options.freeze_budget_ms) {
    size_t threads = 0;
    for (const ProcessInfo& process : manifest.processes) threads += process.threads.size();
    return fmt::format("CRIU alone took {} to stop and describe {} process{} with {} thread{}",
                       FormatMilliseconds(rest_ms), manifest.processes.size(),
                       manifest.processes.size() == 1 ? "" : "es", threads, threads == 1 ? "" : "s");
  }
  if (predicted_ms <= options.freeze_budget_ms) {
    return fmt::format("it was expected to take {}; the machine may have been busy",
                       FormatMilliseconds(predicted_ms));
  }
  if (sums.untracked_bytes > sums.written_bytes) {
    return fmt::format("{} could not be stored before it, as much of that is written all the time",
                       FormatBytes(sums.untracked_bytes));
  }
  return fmt::format("{} had been written again after {} round{} of pre-copy",
                     FormatBytes(sums.written_bytes), rounds, rounds == 1 ? "" : "s");
}

}  // namespace

double ExpectRestMs(const Manifest* parent, const JobTree& tree) {
  if (parent != nullptr && NumberOf(*parent, kProcessesFact) == static_cast<double>(tree.pids.size())) {
    return NumberOf(*parent, kRestFact);
  }
  constexpr double kBaseMs = 3;
  constexpr double kProcessMs = 3;
  constexpr double kBytesScannedPerMs = 2e9;
  return kBaseMs + kProcessMs * static_cast<double>(tree.pids.size()) +
         static_cast<double>(tree.resident_bytes) / kBytesScannedPerMs;
}

void RecordFreeze(const CheckpointOptions& options, const Captured& captured, const PreCopied& precopied,
                  double rest_ms, Manifest& manifest) {
  const Sums sums = SumUp(captured);
  const double predicted_ms = rest_ms + precopied.stopped_ms + sums.predicted_ms;
  const double real_rest_ms = std::max(0.0, captured.freeze_ms - sums.capture_ms);
  auto& facts = manifest.engine_facts;
  facts[kPredictedFact] = fmt::format("{:.1f}", predicted_ms);
  facts[kRestFact] = fmt::format("{:.1f}", real_rest_ms);
  facts[kProcessesFact] = std::to_string(captured.tasks.size() + captured.zombies.size());
  facts[kRoundsFact] = std::to_string(precopied.rounds);
  facts[kWrittenFact] = std::to_string(sums.written_bytes);
  if (options.freeze_budget_ms <= 0) return;
  facts[kBudgetFact] = fmt::format("{}", options.freeze_budget_ms);
  if (manifest.figures.freeze_ms <= options.freeze_budget_ms) return;
  facts[kMissedFact] = WhyMissed(options, manifest, sums, real_rest_ms, predicted_ms, precopied.rounds);
  manifest.warnings.push_back(fmt::format("the job stood still for {}, longer than the {} allowed: {}",
                                          FormatMilliseconds(manifest.figures.freeze_ms),
                                          FormatMilliseconds(options.freeze_budget_ms), facts[kMissedFact]));
}

std::optional<FreezeAccount> FreezeAccountOf(const Manifest& manifest) {
  if (FactOf(manifest, kPredictedFact).empty()) return std::nullopt;
  return FreezeAccount{
      .predicted_ms = NumberOf(manifest, kPredictedFact),
      .precopy_rounds = std::atoi(FactOf(manifest, kRoundsFact).c_str()),
      .written_bytes = std::strtoull(FactOf(manifest, kWrittenFact).c_str(), nullptr, 10),
      .budget_ms = NumberOf(manifest, kBudgetFact),
      .budget_missed = FactOf(manifest, kMissedFact),
  };
}

}  // namespace holdfast
