#include "cli/arguments.h"

#include "base/limits.h"
#include "base/units.h"

namespace holdfast {

Result<double> ParseInterval(const std::string& text) {
  static constexpr double kSecondsMin = 0.1;
  if (text.empty()) return 0.0;
  Result<double> seconds = ParseDuration(text);
  if (!seconds) return std::move(seconds).error().Within("--every");
  if (*seconds < kSecondsMin || *seconds > limits::kEverySecondsMax) {
    return Fail(ErrorKind::kUsage, "--every: '" + text + "' is no useful interval")
        .WithHint("for example 30s, 5m, 1h");
  }
  return seconds;
}

Result<std::map<std::string, std::string>> ParsePairs(const std::vector<std::string>& words) {
  std::map<std::string, std::string> pairs;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Fail(ErrorKind::kUsage, "'" + word + "' is not key=value")
          .WithHint("for example stage=warm-up; 'stage=' removes the key");
    }
    pairs[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return pairs;
}

Result<SnapshotId> FindSnapshot(const Store& store, const std::string& text) {
  const SnapshotId id = TRY(ParseSnapshotId(text));
  return store.Resolve(id);
}

Result<SnapshotSummary> FindSummary(const Store& store, const SnapshotId& id) {
  for (SnapshotSummary& summary : TRY(store.Snapshots(id.lineage))) {
    if (summary.id == id) return std::move(summary);
  }
  return Fail(ErrorKind::kNotFound, "there is no snapshot " + id.ToString())
      .WithHint("'holdfast snapshots " + id.lineage + "' lists them");
}

}  // namespace holdfast
