// /proc/PID/maps and smaps. ReadMaps runs while a job is frozen: one pass over the text, no streams, no
// regular expressions.
#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {

namespace {

Error Unreadable(std::string_view line) {
  return Fail(ErrorKind::kInternal, "a line of /proc/PID/maps makes no sense: '" + std::string(line) + "'");
}

// A lower-case hexadecimal number at the front of `text` that is followed by `end`; takes both.
bool TakeHex(std::string_view& text, char end, uint64_t& value) {
  const char* last = text.data() + text.size();
  auto [stopped_at, error] = std::from_chars(text.data(), last, value, 16);
  if (error != std::errc() || stopped_at == last || *stopped_at != end) return false;
  text.remove_prefix(static_cast<size_t>(stopped_at - text.data()) + 1);
  return true;
}

// One of two letters at the front of `text`.
bool TakeLetter(std::string_view& text, char yes, char no, bool& value) {
  if (text.empty() || (text.front() != yes && text.front() != no)) return false;
  value = text.front() == yes;
  text.remove_prefix(1);
  return true;
}

// "7f12a000-7f12b000 rw-p 00001000 08:01 1234      /usr/lib/x.so"
bool ParseMapsLine(std::string_view line, Mapping& mapping) {
  std::string_view text = line;
  uint64_t device_major = 0;
  uint64_t device_minor = 0;
  if (!TakeHex(text, '-', mapping.start) || !TakeHex(text, ' ', mapping.end)) return false;
  if (!TakeLetter(text, 'r', '-', mapping.readable) || !TakeLetter(text, 'w', '-', mapping.writable) ||
      !TakeLetter(text, 'x', '-', mapping.executable) || !TakeLetter(text, 's', 'p', mapping.shared)) {
    return false;
  }
  if (text.empty() || text.front() != ' ') return false;
  text.remove_prefix(1);
  if (!TakeHex(text, ' ', mapping.offset) || !TakeHex(text, ':', device_major) ||
      !TakeHex(text, ' ', device_minor)) {
    return false;
  }
  const auto inode = ParseNumber<uint64_t>(text.substr(0, text.find(' ')));
  if (!inode || mapping.start >= mapping.end || device_major > UINT32_MAX || device_minor > UINT32_MAX) {
    return false;
  }
  mapping.inode = *inode;
  mapping.device_major = static_cast<uint32_t>(device_major);
  mapping.device_minor = static_cast<uint32_t>(device_minor);
  const size_t blank = text.find(' ');
  if (blank != std::string_view::npos) {
    const size_t name = text.find_first_not_of(' ', blank);
    if (name != std::string_view::npos) mapping.name = text.substr(name);
  }
  mapping.line = line;
  return true;
}

bool IsMapsLine(std::string_view line) {
  const char first = line.empty() ? '\0' : line.front();
  return (first >= '0' && first <= '9') || (first >= 'a' && first <= 'f');
}

// "Rss:    4 kB" -> 4096
std::optional<uint64_t> KibibytesOf(std::string_view value) {
  const auto kibibytes = ParseNumber<uint64_t>(TakeWord(value));
  if (!kibibytes || TakeWord(value) != "kB" || *kibibytes > UINT64_MAX / 1024) return std::nullopt;
  return *kibibytes * 1024;
}

// A line of smaps that belongs to `detail`. Lines that nobody asked for are passed over.
bool ParseSmapsField(std::string_view line, MappingDetail& detail) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return false;
  const std::string_view key = line.substr(0, colon);
  std::string_view value = line.substr(colon + 1);
  if (key == "VmFlags") {
    for (std::string_view flag = TakeWord(value); !flag.empty(); flag = TakeWord(value)) {
      detail.flags.emplace_back(flag);
    }
    return true;
  }
  if (key != "Rss" && key != "AnonHugePages") return true;
  const auto bytes = KibibytesOf(value);
  if (!bytes) return false;
  (key == "Rss" ? detail.resident_bytes : detail.anonymous_huge_bytes) = *bytes;
  return true;
}

Error TooManyMappings() {
  return Fail(ErrorKind::kUnsupported,
              "a process with more than " + std::to_string(limits::kMappingsPerProcessMax) + " mappings");
}

}  // namespace

bool MappingDetail::Has(std::string_view flag) const {
  return std::find(flags.begin(), flags.end(), flag) != flags.end();
}

Result<std::vector<Mapping>> ParseMaps(std::string_view text) {
  std::vector<Mapping> mappings;
  mappings.reserve(text.size() / 80 + 1);  // typical lines are 50 to 110 bytes long
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (mappings.size() == limits::kMappingsPerProcessMax) return TooManyMappings();
    if (!ParseMapsLine(line, mappings.emplace_back())) return Unreadable(line);
  }
  return mappings;
}

Result<std::vector<MappingDetail>> ParseSmaps(std::string_view text) {
  std::vector<MappingDetail> details;
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (IsMapsLine(line)) {
      if (details.size() == limits::kMappingsPerProcessMax) return TooManyMappings();
      if (!ParseMapsLine(line, details.emplace_back().mapping)) return Unreadable(line);
    } else if (details.empty() || !ParseSmapsField(line, details.back())) {
      return Unreadable(line);
    }
  }
  return details;
}

Result<std::vector<Mapping>> ReadMaps(pid_t pid) {
  return ParseMaps(TRY(ReadFile(ProcPath(pid, "maps"))));
}

Result<std::vector<MappingDetail>> ReadSmaps(pid_t pid) {
  return ParseSmaps(TRY(ReadFile(ProcPath(pid, "smaps"))));
}

}  // namespace holdfast
