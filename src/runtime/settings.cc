#include "runtime/settings.h"

#include <charconv>
#include <cstdlib>

#include "base/limits.h"
#include "runtime/container_json.h"

namespace holdfast {

namespace {

constexpr const char* kDefaultFile = "/etc/holdfast/runtime.conf";

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t start = text.find_first_not_of(kBlank);
  if (start == std::string_view::npos) return {};
  return text.substr(start, text.find_last_not_of(kBlank) - start + 1);
}

void SetSeconds(std::string_view text, int& seconds) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && value >= 0 && value <= limits::kRuntimeWaitSecondsMax) seconds = value;
}

}  // namespace

RuntimeSettings ParseSettings(std::string_view text) {
  RuntimeSettings settings;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || line.front() == '#') continue;
    const std::string_view key = Trim(line.substr(0, equals));
    const std::string_view value = Trim(line.substr(equals + 1));
    if (key == "wait") SetSeconds(value, settings.wait_seconds);
    if (key == "deadline") SetSeconds(value, settings.deadline_seconds);
    // A path with a NUL in it would be another one to the kernel.
    if (!value.starts_with('/') || value.find('\0') != std::string_view::npos) continue;
    if (key == "runc") settings.runc = value;
    if (key == "log") settings.log = value;
    if (key == "store") settings.store = value;
    if (key == "holdfast") settings.holdfast = value;
  }
  return settings;
}

RuntimeSettings LoadSettings() {
  const char* file = ::getenv("HOLDFAST_RUNTIME_CONF");
  RuntimeSettings settings;
  const Result<std::string> text =
      ReadSmallFile(file != nullptr ? file : kDefaultFile, limits::kSettingsBytesMax);
  if (text) settings = ParseSettings(*text);
  const char* runc = ::getenv("HOLDFAST_RUNC");
  if (runc != nullptr && runc[0] == '/') settings.runc = runc;
  return settings;
}

}  // namespace holdfast
