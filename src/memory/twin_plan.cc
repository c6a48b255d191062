#include "memory/twin_plan.h"

#include <algorithm>

#include "base/page.h"
#include "base/units.h"
#include "memory/capture_cost.h"
#include "memory/known_pages.h"

namespace holdfast {
namespace {

// A cut in the middle of a huge page would split it for good, so cuts are where one may begin.
constexpr uint64_t kHugePageBytes = 2 * kMiB;

double ForkMsPerByte(const PlannedMapping& mapping) {
  return PredictForkMs(mapping.small_bytes, mapping.huge_bytes) /
         static_cast<double>(mapping.end - mapping.start);
}

// Written pages next to each other, with what is between them.
struct Cluster {
  TwinRange range;
  uint64_t bytes = 0;
  size_t runs = 0;
};

class MappingPlan {
 public:
  MappingPlan(const PlannedMapping& mapping, const TwinPlanRules& rules)
      : mapping_(mapping),
        rules_(rules),
        fork_ms_per_byte_(ForkMsPerByte(mapping)),
        granule_bytes_(rules.all_that_can_be && mapping.huge_bytes == 0 ? kPageBytes : kHugePageBytes) {}

  // [first, last): the written runs in the mapping.
  std::vector<TwinRange> LeftOut(std::vector<PageRun>::const_iterator first,
                                 std::vector<PageRun>::const_iterator last) {
    Keep(mapping_.start, mapping_.start + kPageBytes);
    for (const uint64_t address : rules_.kept) {
      if (address >= mapping_.start && address < mapping_.end) Keep(address, address + 1);
    }
    for (const Cluster& cluster : FindClusters(first, last)) {
      if (rules_.all_that_can_be || IsCheaperInTwin(cluster)) Keep(cluster.range.start, cluster.range.end);
    }
    std::sort(kept_.begin(), kept_.end(),
              [](const TwinRange& a, const TwinRange& b) { return a.start < b.start; });
    std::vector<TwinRange> left_out;
    uint64_t from = mapping_.start;
    for (const TwinRange& kept : kept_) {
      if (kept.start > from && IsWorthLeavingOut(kept.start - from)) left_out.push_back({from, kept.start});
      from = std::max(from, kept.end);
    }
    if (from < mapping_.end && IsWorthLeavingOut(mapping_.end - from))
      left_out.push_back({from, mapping_.end});
    return left_out;
  }

 private:
  // Whole granules.
  void Keep(uint64_t start, uint64_t end) {
    kept_.push_back({std::max(mapping_.start, start / granule_bytes_ * granule_bytes_),
                     std::min(mapping_.end, (end + granule_bytes_ - 1) / granule_bytes_ * granule_bytes_)});
  }

  bool IsWorthLeavingOut(uint64_t bytes) const {
    return rules_.all_that_can_be || static_cast<double>(bytes) * fork_ms_per_byte_ > kLeaveOutMs;
  }

  bool IsCheaperInTwin(const Cluster& cluster) const {
    const auto span = static_cast<double>(cluster.range.end - cluster.range.start + kHugePageBytes);
    return kLeaveOutMs + span * fork_ms_per_byte_ <= PredictCopyMs(cluster.bytes, cluster.runs);
  }

  std::vector<Cluster> FindClusters(std::vector<PageRun>::const_iterator first,
                                    std::vector<PageRun>::const_iterator last) const {
    std::vector<Cluster> clusters;
    for (auto run = first; run != last; ++run) {
      const uint64_t end = run->address + run->bytes;
      if (clusters.empty() || IsWorthLeavingOut(run->address - clusters.back().range.end)) {
        clusters.push_back({{run->address, run->address}, 0, 0});
      }
      Cluster& cluster = clusters.back();
      cluster.range.end = end;
      cluster.bytes += run->bytes;
      ++cluster.runs;
    }
    return clusters;
  }

  const PlannedMapping& mapping_;
  const TwinPlanRules& rules_;
  const double fork_ms_per_byte_;
  const uint64_t granule_bytes_;
  std::vector<TwinRange> kept_;
};

uint64_t TotalBytesOf(const std::vector<TwinRange>& ranges) {
  uint64_t bytes = 0;
  for (const TwinRange& range : ranges) bytes += range.end - range.start;
  return bytes;
}

// The longest ones, in order of address.
void KeepLongest(std::vector<TwinRange>& ranges, size_t count) {
  if (ranges.size() <= count) return;
  std::nth_element(ranges.begin(), ranges.begin() + static_cast<std::ptrdiff_t>(count), ranges.end(),
                   [](const TwinRange& a, const TwinRange& b) { return a.end - a.start > b.end - b.start; });
  ranges.resize(count);
  std::sort(ranges.begin(), ranges.end(),
            [](const TwinRange& a, const TwinRange& b) { return a.start < b.start; });
}

// Parts of the run that lie in `left_out` (from `at` on) are copied, the others are in the twin.
void Divide(const PageRun& run, const std::vector<TwinRange>& left_out, size_t& at, TwinPlan& plan) {
  const uint64_t end = run.address + run.bytes;
  while (at < left_out.size() && left_out[at].end <= run.address) ++at;
  const auto add = [&run](std::vector<PageRun>& runs, uint64_t from, uint64_t to) {
    if (from < to) runs.push_back({from, to - from, run.huge, run.over_file});
  };
  uint64_t from = run.address;
  for (size_t i = at; i < left_out.size() && left_out[i].start < end; ++i) {
    const uint64_t start = std::max(from, left_out[i].start);
    const uint64_t stop = std::min(end, left_out[i].end);
    add(plan.in_twin, from, start);
    add(plan.copied, start, stop);
    from = stop;
  }
  add(plan.in_twin, from, end);
}

// What a twin with plan.left_out means.
void Account(const std::vector<PlannedMapping>& mappings, const std::vector<PageRun>& written,
             TwinPlan& plan) {
  uint64_t small_bytes = 0;
  uint64_t huge_bytes = 0;
  auto run = written.begin();
  auto range = plan.left_out.begin();
  size_t at = 0;
  for (const PlannedMapping& mapping : mappings) {
    std::vector<TwinRange> left_out;
    for (; range != plan.left_out.end() && range->start < mapping.end; ++range) left_out.push_back(*range);
    // What is resident may all be in the parts that the twin has.
    const uint64_t forked = mapping.end - mapping.start - TotalBytesOf(left_out);
    if (!mapping.not_forked) {
      small_bytes += std::min(mapping.small_bytes, forked);
      huge_bytes += std::min(mapping.huge_bytes, forked);
    }
    for (; run != written.end() && run->address < mapping.end; ++run) {
      if (mapping.not_forked) {
        plan.copied.push_back(*run);
      } else {
        Divide(*run, plan.left_out, at, plan);
      }
    }
  }
  // What lies in no mapping that we know of is looked for in the task itself.
  plan.copied.insert(plan.copied.end(), run, written.end());
  plan.forked_bytes = small_bytes + huge_bytes;
  plan.predicted_ms = PredictTwinMs(small_bytes, huge_bytes) +
                      kLeaveOutMs * static_cast<double>(plan.left_out.size()) +
                      PredictCopyMs(TotalBytes(plan.copied), plan.copied.size());
}

}  // namespace

TwinPlan PlanPartialTwin(const std::vector<PlannedMapping>& mappings, const std::vector<PageRun>& written,
                         const TwinPlanRules& rules) {
  TwinPlan plan;
  auto first = written.begin();
  for (const PlannedMapping& mapping : mappings) {
    while (first != written.end() && first->address < mapping.start) ++first;
    auto last = first;
    while (last != written.end() && last->address < mapping.end) ++last;
    if (mapping.may_be_cut && !mapping.not_forked) {
      const std::vector<TwinRange> left_out = MappingPlan(mapping, rules).LeftOut(first, last);
      plan.left_out.insert(plan.left_out.end(), left_out.begin(), left_out.end());
    }
    first = last;
  }
  KeepLongest(plan.left_out, rules.ranges_max);
  Account(mappings, written, plan);
  return plan;
}

TwinPlan PlanWholeTwin(const std::vector<PlannedMapping>& mappings, const std::vector<PageRun>& written) {
  TwinPlan plan;
  Account(mappings, written, plan);
  return plan;
}

}  // namespace holdfast
