#include "engine/capture_choice.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>

#include "base/page.h"
#include "memory/capture_cost.h"
#include "memory/known_pages.h"

namespace holdfast {
namespace {

// Parts of a mapping can be left out of a fork and put back only where the kernel joins again what it had
// cut: not where a driver or a file system has a say in it, and not what grows. Sealed ones refuse it
// altogether.
bool MayBeCut(const MappingDetail& detail) {
  static constexpr std::array<std::string_view, 7> kNever = {"io", "pf", "mm", "de", "gd", "sl", "ht"};
  const std::string& name = detail.mapping.name;
  const bool plain = name.empty() || name == "[heap]" || name.starts_with("[anon:");
  return plain && IsAnonymous(detail.mapping) &&
         std::none_of(kNever.begin(), kNever.end(),
                      [&detail](std::string_view flag) { return detail.Has(flag); });
}

PlannedMapping Plan(const MappingDetail& detail) {
  const Mapping& mapping = detail.mapping;
  PlannedMapping planned{.start = mapping.start, .end = mapping.end};
  planned.huge_bytes = std::min(detail.anonymous_huge_bytes, detail.resident_bytes);
  planned.small_bytes = detail.resident_bytes - planned.huge_bytes;
  planned.may_be_cut = MayBeCut(detail);
  planned.not_forked = HasNoContentAfterFork(detail);
  return planned;
}

std::vector<PlannedMapping> PlanMappings(const std::vector<MappingDetail>& details) {
  std::vector<PlannedMapping> planned;
  for (const MappingDetail& detail : details) {
    if (IsCaptured(detail.mapping)) planned.push_back(Plan(detail));
  }
  return planned;
}

// Each range is two mappings more for the moment of the fork, and a process may have only so many.
size_t RangesMax(size_t mappings) {
  constexpr size_t kSpare = 1024;
  const Result<std::string> text = ReadFile("/proc/sys/vm/max_map_count");
  const size_t most = text ? std::strtoul(text->c_str(), nullptr, 10) : 0;
  if (most < mappings + kSpare) return 0;
  return std::min<size_t>((most - mappings - kSpare) / 2, kTwinRangesMax);
}

}  // namespace

// A page of hugetlbfs is taken from the child when the pool is dry.
bool HasNoContentAfterFork(const MappingDetail& detail) {
  return detail.Has("dc") || detail.Has("wf") || detail.Has("ht");
}

CaptureChoice ChooseCapture(const std::vector<MappingDetail>& details, const std::vector<PageRun>& written,
                            const ChoiceRules& rules) {
  using Way = CaptureChoice::Way;
  const std::vector<PlannedMapping> mappings = PlanMappings(details);
  const bool forced = rules.asked == CaptureWay::kPartialTwin;
  TwinPlan partial = PlanPartialTwin(
      mappings, written,
      {.kept = rules.kept, .ranges_max = RangesMax(details.size()), .all_that_can_be = forced});
  TwinPlan whole = PlanWholeTwin(mappings, written);
  const double copy_ms = PredictCopyMs(TotalBytes(written), written.size());
  const double twin_ms = std::min(whole.predicted_ms, partial.predicted_ms);
  if (rules.may_copy && !forced && copy_ms <= twin_ms) return {Way::kCopy, copy_ms, {}};
  if (!partial.left_out.empty() && (forced || partial.predicted_ms < whole.predicted_ms)) {
    return {Way::kPartialTwin, partial.predicted_ms, std::move(partial)};
  }
  return {Way::kWholeTwin, whole.predicted_ms, std::move(whole)};
}

double PredictWholeTwinMs(const std::vector<MappingDetail>& details) {
  return PlanWholeTwin(PlanMappings(details), {}).predicted_ms;
}

}  // namespace holdfast
