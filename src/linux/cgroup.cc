#include "linux/cgroup.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "linux/proc.h"

namespace holdfast {
namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return std::nullopt;
  return value;
}

std::optional<uint64_t> NumberIn(const std::string& path) {
  const Result<std::string> text = ReadFile(path);
  if (!text) return std::nullopt;
  return ParseNumber(*text);
}

// The number after `key` and a space, at the start of a line of memory.stat.
uint64_t StatOf(const std::string& path, std::string_view key) {
  const std::string text = ReadFile(path).value_or("");
  const std::string needle = "\n" + std::string(key) + " ";
  const size_t at = ("\n" + text).find(needle);
  if (at == std::string::npos) return 0;
  return ParseNumber(std::string_view(text).substr(at + needle.size() - 1)).value_or(0);
}

struct Hierarchy {
  std::string mount;
  std::string path;  // of the process in it
  const char* limit = nullptr;
  const char* usage = nullptr;
  const char* cache = nullptr;  // key in memory.stat
};

std::optional<Hierarchy> FindHierarchy(pid_t pid) {
  const std::string text = ReadFile(fmt::format("/proc/{}/cgroup", pid)).value_or("");
  std::optional<Hierarchy> unified;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string path(line.substr(second + 1));
    if (controllers.find(",memory,") != std::string::npos) {
      return Hierarchy{"/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "memory.usage_in_bytes",
                       "total_inactive_file"};
    }
    if (controllers == ",,") {
      unified = Hierarchy{"/sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file"};
    }
  }
  return unified;
}

}  // namespace

std::optional<uint64_t> CgroupMemoryHeadroom(pid_t pid) {
  const std::optional<Hierarchy> hierarchy = FindHierarchy(pid);
  if (!hierarchy) return std::nullopt;
  // v1 writes "no limit" as the largest page-aligned number.
  constexpr uint64_t kUnlimited = 1ull << 62;
  std::optional<uint64_t> least;
  std::string path = hierarchy->path;
  for (;;) {
    const std::string directory = hierarchy->mount + (path == "/" ? "" : path) + "/";
    const std::optional<uint64_t> limit = NumberIn(directory + hierarchy->limit);
    const std::optional<uint64_t> usage = NumberIn(directory + hierarchy->usage);
    if (limit && usage && *limit < kUnlimited) {
      const uint64_t used = *usage - std::min(*usage, StatOf(directory + "memory.stat", hierarchy->cache));
      const uint64_t room = *limit - std::min(*limit, used);
      least = std::min(least.value_or(room), room);
    }
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos || path.size() <= 1) break;
    path.resize(std::max<size_t>(slash, 1));
  }
  return least;
}

Result<uint64_t> MemoryAvailable() {
  const std::string text = TRY(ReadFile("/proc/meminfo"));
  constexpr std::string_view kKey = "MemAvailable:";
  const size_t at = text.find(kKey);
  if (at == std::string::npos)
    return Fail(ErrorKind::kUnsupported, "/proc/meminfo does not show MemAvailable");
  const size_t digit = text.find_first_of("0123456789", at);
  return ParseNumber(std::string_view(text).substr(std::min(digit, text.size()))).value_or(0) * 1024;
}

}  // namespace holdfast
