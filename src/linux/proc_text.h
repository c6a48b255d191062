// Small pieces that the readers of /proc share: paths, numbers, lines.
#pragma once

#include <sys/types.h>

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// "/proc/12/maps"
std::string ProcPath(pid_t pid, std::string_view rest);

// The whole of `text` as a number, nothing before or after it.
template <typename Number>
std::optional<Number> ParseNumber(std::string_view text, int base = 10) {
  Number value{};
  const char* end = text.data() + text.size();
  auto [stopped_at, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stopped_at != end) return std::nullopt;
  return value;
}

// Takes the next line off `text`, without its newline.
std::string_view TakeLine(std::string_view& text);
// Takes the next word off `text`: skips blanks and tabs, then up to the next one.
std::string_view TakeWord(std::string_view& text);
// Strings separated by NUL, as cmdline and environ have them; a last one without NUL counts.
std::vector<std::string> SplitAtNul(std::string_view text);

// What a symbolic link of /proc says. `what` stands in the error.
Result<std::string> ReadLinkAt(int directory, const char* name, const std::string& what);

// Appends what is left to read of `fd`, up to limits::kProcFileBytesMax. `path` stands in the error.
Result<std::string> ReadAll(int fd, const std::string& path);

}  // namespace holdfast
