#include "engine/memory_advice.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cstring>
#include <sstream>

#include "base/page.h"
#include "linux/pagemap_scan.h"
#include "memory/drain.h"

namespace holdfast {
namespace {

constexpr uint64_t kGuardInstall = 102;  // MADV_GUARD_INSTALL, Linux 6.13

// Its facts are "advice-PID-0", "advice-PID-1", ...: "START BYTES ADVICE" in decimal.
std::string FactName(pid_t pid, size_t number) {
  return fmt::format("advice-{}-{}", pid, number);
}

// The flags at the freeze, as well as they are known.
Result<std::vector<MappingDetail>> DetailsOf(const CapturedTask& task,
                                             const std::map<pid_t, std::vector<MappingDetail>>& corrected) {
  const auto true_ones = corrected.find(task.pid_in_namespace);
  if (true_ones != corrected.end()) return true_ones->second;
  if (task.told) return task.told->details;
  return ReadSmaps(task.twin ? task.twin->pid() : task.pid);
}

// The guards of [start, end), of which the twin has all but `left_out`. `task`: null when it has ended by
// now.
Result<std::vector<PageRegion>> FindGuards(const PagemapScanner& twin, const PagemapScanner* task,
                                           const std::vector<TwinRange>& left_out, uint64_t start,
                                           uint64_t end) {
  std::vector<PageRegion> guards;
  const auto look = [&guards](const PagemapScanner& scanner, uint64_t from, uint64_t to) -> Result<void> {
    if (from >= to) return {};
    const std::vector<PageRegion> found = TRY(scanner.Guards(from, to));
    guards.insert(guards.end(), found.begin(), found.end());
    return {};
  };
  uint64_t from = start;
  for (const TwinRange& range : left_out) {
    if (range.start < start || range.end > end) continue;  // in another mapping
    TRY(look(twin, from, range.start));
    if (task != nullptr) TRY(look(*task, range.start, range.end));
    from = range.end;
  }
  TRY(look(twin, from, end));
  return guards;
}

bool HasContent(const AddressSpace& memory, const Advice& where) {
  return std::any_of(memory.extents.begin(), memory.extents.end(), [&where](const Extent& extent) {
    return extent.address < where.start + where.bytes &&
           extent.address + uint64_t{extent.pages} * kPageBytes > where.start;
  });
}

}  // namespace

Result<std::vector<Advice>> FindAdvice(const CapturedTask& task,
                                       const std::map<pid_t, std::vector<MappingDetail>>& corrected) {
  std::vector<Advice> advice;
  const Result<std::vector<MappingDetail>> details = DetailsOf(task, corrected);
  const Result<PagemapScanner> in_task = PagemapScanner::Open(task.pid);
  const Result<PagemapScanner> in_twin = PagemapScanner::Open(task.twin ? task.twin->pid() : task.pid);
  if (!details || !in_twin) return advice;  // a process that has ended by now
  const std::vector<TwinRange> none;
  const std::vector<TwinRange>& left_out = task.twin ? task.choice.plan.left_out : none;
  for (const MappingDetail& detail : *details) {
    const Mapping& mapping = detail.mapping;
    if (!IsCaptured(mapping)) continue;
    if (detail.Has("wf")) advice.push_back({mapping.start, mapping.bytes(), MADV_WIPEONFORK});
    for (const PageRegion& guard :
         TRY(FindGuards(*in_twin, in_task ? &*in_task : nullptr, left_out, mapping.start, mapping.end))) {
      advice.push_back({guard.start, guard.bytes(), kGuardInstall});
    }
  }
  return advice;
}

void RecordAdvice(const std::vector<Advice>& advice, const AddressSpace& memory,
                  std::map<std::string, std::string>& facts) {
  size_t count = 0;
  for (const Advice& one : advice) {
    if (one.advice == kGuardInstall && HasContent(memory, one)) continue;
    facts[FactName(memory.pid, count++)] = fmt::format("{} {} {}", one.start, one.bytes, one.advice);
  }
}

namespace {

Result<std::vector<Advice>> AdviceFor(const Manifest& manifest, pid_t pid) {
  std::vector<Advice> all;
  for (;;) {
    const auto fact = manifest.engine_facts.find(FactName(pid, all.size()));
    if (fact == manifest.engine_facts.end()) return all;
    std::istringstream text(fact->second);
    Advice one;
    if (!(text >> one.start >> one.bytes >> one.advice)) {
      return Fail(ErrorKind::kCorrupt,
                  fmt::format("{}: '{}' is no advice", manifest.id.ToString(), fact->second));
    }
    all.push_back(one);
  }
}

}  // namespace

Result<std::vector<PageRun>> WipedInChildren(const Manifest& manifest, pid_t pid) {
  std::vector<PageRun> wiped;
  for (const Advice& one : TRY(AdviceFor(manifest, pid))) {
    if (one.advice == MADV_WIPEONFORK) wiped.push_back({.address = one.start, .bytes = one.bytes});
  }
  return wiped;
}

Result<std::vector<std::string>> GiveAdvice(const Manifest& manifest, const RestoredTask& task) {
  std::vector<std::string> failed;
  for (const Advice& one : TRY(AdviceFor(manifest, task.pid_in_namespace))) {
    const int64_t result = TRY(task.Call(SYS_madvise, {one.start, one.bytes, one.advice}));
    if (result == 0) continue;
    failed.push_back(fmt::format("process {}: madvise({:#x}, {}, {}) could not be given again: {}",
                                 task.pid_in_namespace, one.start, one.bytes, one.advice,
                                 std::strerror(static_cast<int>(-result))));
  }
  return failed;
}

}  // namespace holdfast
