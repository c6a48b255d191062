#include "engine/memory_advice.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstring>
#include <sstream>

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

}  // namespace

Result<void> RecordAdvice(const CapturedTask& task,
                          const std::map<pid_t, std::vector<MappingDetail>>& corrected,
                          std::map<std::string, std::string>& facts) {
  size_t count = 0;
  const auto record = [&](uint64_t start, uint64_t end, uint64_t advice) {
    facts[FactName(task.pid_in_namespace, count++)] = fmt::format("{} {} {}", start, end - start, advice);
  };
  const Result<std::vector<MappingDetail>> details = DetailsOf(task, corrected);
  const Result<PagemapScanner> scanner = PagemapScanner::Open(task.twin ? task.twin->pid() : task.pid);
  if (!details || !scanner) return {};  // a small process that has ended by now
  for (const MappingDetail& detail : *details) {
    const Mapping& mapping = detail.mapping;
    if (!IsCaptured(mapping)) continue;
    if (detail.Has("wf")) record(mapping.start, mapping.end, MADV_WIPEONFORK);
    for (const PageRegion& guard : TRY(scanner->Guards(mapping.start, mapping.end))) {
      record(guard.start, guard.end, kGuardInstall);
    }
  }
  return {};
}

namespace {

struct Advice {
  uint64_t start = 0;
  uint64_t bytes = 0;
  uint64_t advice = 0;
};

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
