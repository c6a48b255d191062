#include "store/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/limits.h"
#include "store/format.h"

namespace holdfast {
namespace {

constexpr std::string_view kNameCharacters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
constexpr int kVersionDigits = 8;

std::optional<uint64_t> ParseVersion(std::string_view digits) {
  uint64_t version = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, version);
  if (error != std::errc{} || rest != end || version == 0 || version > format::kSnapshotVersionMax) {
    return std::nullopt;
  }
  return version;
}

std::string VersionKey(const SnapshotId& id, std::string_view suffix) {
  return fmt::format("{}{:0{}}{}", LineageFolder(id.lineage), id.version, kVersionDigits, suffix);
}

// How many letters must be added, dropped, changed or swapped with their neighbour: "trian" is one away from
// "train".
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> distance(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) distance[i][0] = i;
  std::iota(distance[0].begin(), distance[0].end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = distance[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      distance[i][j] = std::min({distance[i - 1][j] + 1, distance[i][j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        distance[i][j] = std::min(distance[i][j], distance[i - 2][j - 2] + 1);
      }
    }
  }
  return distance.back().back();
}

}  // namespace

Result<void> ValidateName(std::string_view name, uint32_t bytes_max) {
  if (name.empty()) return Fail(ErrorKind::kUsage, "a name must have at least one character");
  if (name.size() > bytes_max) {
    return Fail(ErrorKind::kUsage,
                fmt::format("the name has {} characters, at most {} are allowed", name.size(), bytes_max));
  }
  if (name.find_first_not_of(kNameCharacters) != std::string_view::npos ||
      std::string_view("._-").find(name.front()) != std::string_view::npos) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' cannot be a name", name))
        .WithHint("letters, digits, '.', '_' and '-', the first one a letter or a digit");
  }
  return {};
}

Result<void> ValidateLineageName(std::string_view name) {
  return ValidateName(name, limits::kLineageNameBytesMax);
}

Result<SnapshotId> ParseSnapshotId(std::string_view text) {
  SnapshotId id;
  const size_t at = text.rfind('@');
  if (at != std::string_view::npos) {
    const std::optional<uint64_t> version = ParseVersion(text.substr(at + 1));
    if (!version) {
      return Fail(ErrorKind::kUsage,
                  fmt::format("'{}' is no snapshot: after '@' comes a version from 1 up", text))
          .WithHint("write NAME@7, or NAME for the newest");
    }
    id.version = *version;
    text = text.substr(0, at);
  }
  TRY(ValidateLineageName(text));
  id.lineage = text;
  return id;
}

std::string LineageFolder(std::string_view lineage) {
  return fmt::format("{}{}/", format::kSnapshotFolder, lineage);
}

std::string ManifestKey(const SnapshotId& id) {
  return VersionKey(id, format::kManifestSuffix);
}

std::string AnnotationsKey(const SnapshotId& id) {
  return VersionKey(id, format::kAnnotationsSuffix);
}

std::string RemovedKey(const SnapshotId& id) {
  return VersionKey(id, format::kRemovedSuffix);
}

std::string PresentKey(std::string_view lineage) {
  return LineageFolder(lineage) + std::string(format::kPresentFile);
}

std::string CommittedKey(const SnapshotId& id) {
  return VersionKey(id, format::kCommittedSuffix);
}

std::optional<uint64_t> VersionOfFile(std::string_view file_name, std::string_view suffix) {
  if (!file_name.ends_with(suffix)) return std::nullopt;
  file_name.remove_suffix(suffix.size());
  if (file_name.size() != kVersionDigits) return std::nullopt;
  return ParseVersion(file_name);
}

std::vector<std::string> NearNames(std::string_view name, const std::vector<std::string>& known) {
  constexpr size_t kNamesMax = 3;
  const size_t distance_max = std::max<size_t>(1, name.size() / 3);
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(name, candidate);
    const bool begins_alike = !name.empty() && candidate.starts_with(name);
    if (distance <= distance_max || begins_alike) near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < near.size() && i < kNamesMax; ++i) names.push_back(near[i].second);
  return names;
}

}  // namespace holdfast
