#include "job/annotation_filter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace holdfast {

namespace {

std::optional<double> Number(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

template <typename Value>
bool Compare(const Value& left, std::string_view comparison, const Value& right) {
  if (comparison == "=") return left == right;
  if (comparison == "!=") return left != right;
  if (comparison == "<") return left < right;
  if (comparison == "<=") return left <= right;
  if (comparison == ">") return left > right;
  return left >= right;
}

Error NothingMatches(const std::vector<SnapshotSummary>& snapshots, const std::string& lineage,
                     const std::vector<std::string>& texts) {
  std::set<std::string> keys;
  for (const SnapshotSummary& snapshot : snapshots) {
    for (const auto& [key, value] : snapshot.annotations) keys.insert(key);
  }
  return Fail(ErrorKind::kNotFound,
              fmt::format("no snapshot of '{}' has {}", lineage, fmt::join(texts, " and ")))
      .WithHint(keys.empty() ? "none of them has annotations"
                             : fmt::format("they have: {}; 'holdfast snapshots {}' shows the values",
                                           fmt::join(keys, ", "), lineage));
}

}  // namespace

Result<AnnotationFilter> AnnotationFilter::Parse(const std::string& text) {
  const size_t start = text.find_first_of("!<>=");
  const size_t end = start == std::string::npos ? start : text.find_first_not_of("!<>=", start);
  AnnotationFilter filter;
  if (start != std::string::npos) {
    filter.key_ = text.substr(0, start);
    filter.comparison_ = text.substr(start, end - start);
    if (end != std::string::npos) filter.value_ = text.substr(end);
  }
  const auto known = {"=", "!=", "<", "<=", ">", ">="};
  if (filter.key_.empty() || std::find(known.begin(), known.end(), filter.comparison_) == known.end()) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' is no condition", text))
        .WithHint("for example --where epoch=12, or --where 'loss<0.3'");
  }
  return filter;
}

bool AnnotationFilter::Accepts(const std::map<std::string, std::string>& annotations) const {
  const auto found = annotations.find(key_);
  if (found == annotations.end()) return comparison_ == "!=";
  const std::optional<double> left = Number(found->second);
  const std::optional<double> right = Number(value_);
  if (left && right) return Compare(*left, comparison_, *right);
  const bool orders = comparison_ != "=" && comparison_ != "!=";
  return !orders && Compare(found->second, comparison_, value_);
}

Result<std::vector<AnnotationFilter>> ParseFilters(const std::vector<std::string>& texts) {
  std::vector<AnnotationFilter> filters;
  for (const std::string& text : texts) filters.push_back(TRY(AnnotationFilter::Parse(text)));
  return filters;
}

bool AcceptedByAll(const std::vector<AnnotationFilter>& filters, const SnapshotSummary& snapshot) {
  return std::all_of(filters.begin(), filters.end(), [&snapshot](const AnnotationFilter& filter) {
    return snapshot.damage.empty() && filter.Accepts(snapshot.annotations);
  });
}

Result<SnapshotId> FindNewest(const Store& store, const std::string& lineage,
                              const std::vector<std::string>& texts) {
  const std::vector<AnnotationFilter> filters = TRY(ParseFilters(texts));
  const std::vector<SnapshotSummary> snapshots = TRY(store.Snapshots(lineage));
  const auto newest =
      std::find_if(snapshots.rbegin(), snapshots.rend(),
                   [&filters](const SnapshotSummary& snapshot) { return AcceptedByAll(filters, snapshot); });
  if (newest == snapshots.rend()) return NothingMatches(snapshots, lineage, texts);
  return newest->id;
}

}  // namespace holdfast
