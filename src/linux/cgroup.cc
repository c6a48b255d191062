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

// Where the process is in the hierarchy that has a controller.
struct Place {
  std::string mount;
  std::string path;
  bool unified = false;  // cgroup v2
};

std::optional<Place> FindPlace(pid_t pid, std::string_view controller) {
  const std::string text = ReadFile(fmt::format("/proc/{}/cgroup", pid)).value_or("");
  const std::string wanted = fmt::format(",{},", controller);
  std::optional<Place> unified;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const std::string path(line.substr(second + 1));
    if (controllers.find(wanted) != std::string::npos)
      return Place{fmt::format("/sys/fs/cgroup/{}", controller), path, false};
    if (controllers == ",,") unified = Place{"/sys/fs/cgroup", path, true};
  }
  return unified;
}

// "" for the root, so that a file's name can follow.
std::string DirectoryOf(const Place& place, const std::string& path) {
  return place.mount + (path == "/" ? "" : path) + "/";
}

// The path above; empty above the root.
std::string Above(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos || path.size() <= 1) return {};
  return path.substr(0, std::max<size_t>(slash, 1));
}

}  // namespace

std::optional<std::string> CgroupCpus(pid_t pid) {
  const std::optional<Place> place = FindPlace(pid, "cpuset");
  if (!place) return std::nullopt;
  const char* file = place->unified ? "cpuset.cpus.effective" : "cpuset.effective_cpus";
  // A v2 group without the controller has its parent's.
  for (std::string path = place->path; !path.empty(); path = Above(path)) {
    Result<std::string> cpus = ReadFile(DirectoryOf(*place, path) + file);
    if (!cpus) continue;
    while (cpus->ends_with('\n')) cpus->pop_back();
    if (!cpus->empty()) return *std::move(cpus);
  }
  return std::nullopt;
}

std::optional<uint64_t> CgroupMemoryHeadroom(pid_t pid) {
  const std::optional<Place> place = FindPlace(pid, "memory");
  if (!place) return std::nullopt;
  const char* limit_file = place->unified ? "memory.max" : "memory.limit_in_bytes";
  const char* usage_file = place->unified ? "memory.current" : "memory.usage_in_bytes";
  const char* cache_key = place->unified ? "inactive_file" : "total_inactive_file";
  // v1 writes "no limit" as the largest page-aligned number.
  constexpr uint64_t kUnlimited = 1ull << 62;
  std::optional<uint64_t> least;
  for (std::string path = place->path; !path.empty(); path = Above(path)) {
    const std::string directory = DirectoryOf(*place, path);
    const std::optional<uint64_t> limit = NumberIn(directory + limit_file);
    const std::optional<uint64_t> usage = NumberIn(directory + usage_file);
    if (!limit || !usage || *limit >= kUnlimited) continue;
    const uint64_t used = *usage - std::min(*usage, StatOf(directory + "memory.stat", cache_key));
    const uint64_t room = *limit - std::min(*limit, used);
    least = std::min(least.value_or(room), room);
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
