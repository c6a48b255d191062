#include "linux/affinity.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "base/limits.h"
#include "linux/cgroup.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {
namespace {

constexpr unsigned kWordBits = sizeof(unsigned long) * CHAR_BIT;

Error NoCpuList(std::string_view text) {
  return Fail(ErrorKind::kCorrupt, fmt::format("'{}' is no list of CPUs", text));
}

void Add(CpuMask& mask, unsigned cpu) {
  if (cpu / kWordBits >= mask.size()) mask.resize(cpu / kWordBits + 1);
  mask[cpu / kWordBits] |= 1ul << cpu % kWordBits;
}

bool Has(const CpuMask& mask, size_t cpu) {
  return cpu / kWordBits < mask.size() && (mask[cpu / kWordBits] >> cpu % kWordBits & 1) != 0;
}

}  // namespace

Result<CpuMask> ParseCpuList(std::string_view text) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  CpuMask mask;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view range = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const size_t dash = range.find('-');
    const auto first = ParseNumber<unsigned>(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseNumber<unsigned>(range.substr(dash + 1));
    if (!first || !last || *first > *last || *last >= limits::kCpusMax) return NoCpuList(text);
    for (unsigned cpu = *first; cpu <= *last; ++cpu) Add(mask, cpu);
  }
  if (mask.empty()) return NoCpuList(text);
  return mask;
}

std::string FormatCpuList(const CpuMask& mask) {
  std::string text;
  const size_t cpus = mask.size() * kWordBits;
  for (size_t cpu = 0; cpu < cpus; ++cpu) {
    if (!Has(mask, cpu)) continue;
    size_t last = cpu;
    while (Has(mask, last + 1)) ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", cpu);
    if (last > cpu) text += fmt::format("-{}", last);
    cpu = last;
  }
  return text;
}

bool Contains(const CpuMask& whole, const CpuMask& part) {
  for (size_t word = 0; word < part.size(); ++word) {
    if ((part[word] & ~(word < whole.size() ? whole[word] : 0)) != 0) return false;
  }
  return true;
}

Result<CpuMask> OfferedCpus(pid_t pid) {
  if (const std::optional<std::string> cpuset = CgroupCpus(pid)) return ParseCpuList(*cpuset);
  return ParseCpuList(TRY(ReadFile("/sys/devices/system/cpu/online")));
}

// Not glibc's function: it hides how much of the mask the kernel filled in.
Result<CpuMask> ReadAffinity(pid_t thread) {
  CpuMask mask(16);
  for (;;) {
    const long bytes =
        syscall(SYS_sched_getaffinity, thread, mask.size() * sizeof(unsigned long), mask.data());
    if (bytes >= 0) return mask;
    if (errno != EINVAL || mask.size() * kWordBits >= limits::kCpusMax)
      return FailErrno(fmt::format("cannot ask for the CPUs of thread {}", thread));
    mask.assign(mask.size() * 2, 0);  // the kernel knows more CPUs
  }
}

Result<void> SetAffinity(pid_t thread, const CpuMask& mask) {
  if (syscall(SYS_sched_setaffinity, thread, mask.size() * sizeof(unsigned long), mask.data()) == 0)
    return {};
  const std::string what = fmt::format("bind thread {} to the CPUs {}", thread, FormatCpuList(mask));
  if (errno != EINVAL) return FailErrno("cannot " + what);
  return Fail(ErrorKind::kUnsupported, fmt::format("cannot {}: it may run on none of them here", what));
}

}  // namespace holdfast
