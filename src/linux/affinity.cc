#include "linux/affinity.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/limits.h"
#include "linux/cgroup.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {
namespace {

Error NoCpuList(std::string_view text) {
  return Fail(ErrorKind::kCorrupt, fmt::format("'{}' is no list of CPUs", text));
}

Result<std::string> AllowedCpus(pid_t thread) {
  const std::string status = TRY(ReadFile(ProcPath(thread, "status")));
  std::string_view rest = status;
  while (!rest.empty()) {
    std::string_view line = TakeLine(rest);
    if (TakeWord(line) == "Cpus_allowed_list:") return std::string(TakeWord(line));
  }
  return Fail(ErrorKind::kInternal, fmt::format("/proc/{}/status names no CPUs", thread));
}

// What the thread could run on at most.
Result<std::set<unsigned>> CpusOffered(pid_t thread) {
  if (const std::optional<std::string> cpuset = CgroupCpus(thread)) return ParseCpuList(*cpuset);
  return ParseCpuList(TRY(ReadFile("/sys/devices/system/cpu/online")));
}

}  // namespace

Result<std::set<unsigned>> ParseCpuList(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::set<unsigned> cpus;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view range = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t dash = range.find('-');
    const auto first = ParseNumber<unsigned>(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseNumber<unsigned>(range.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= limits::kCpusMax) return NoCpuList(text);
    for (unsigned cpu = *first; cpu <= *last; ++cpu) cpus.insert(cpu);
  }
  if (cpus.empty()) return NoCpuList(text);
  return cpus;
}

Result<std::optional<std::string>> ReadAffinity(pid_t thread) {
  const std::string allowed_list = TRY(AllowedCpus(thread));
  const std::set<unsigned> allowed = TRY(ParseCpuList(allowed_list));
  const std::set<unsigned> offered = TRY(CpusOffered(thread));
  if (std::includes(allowed.begin(), allowed.end(), offered.begin(), offered.end())) return std::nullopt;
  return allowed_list;
}

Result<void> SetAffinity(pid_t thread, std::string_view cpu_list) {
  const std::set<unsigned> cpus = TRY(ParseCpuList(cpu_list));
  std::vector<cpu_set_t> mask((*cpus.rbegin() + CPU_SETSIZE) / CPU_SETSIZE);
  const size_t bytes = mask.size() * sizeof(cpu_set_t);
  CPU_ZERO_S(bytes, mask.data());
  for (const unsigned cpu : cpus) CPU_SET_S(cpu, bytes, mask.data());
  if (sched_setaffinity(thread, bytes, mask.data()) == 0) return {};
  if (errno != EINVAL) return FailErrno(fmt::format("cannot bind thread {} to CPUs {}", thread, cpu_list));
  return Fail(ErrorKind::kUnsupported,
              fmt::format("thread {} may run on none of the CPUs {}", thread, cpu_list));
}

}  // namespace holdfast
