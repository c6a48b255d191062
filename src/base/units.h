// Sizes and times as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

inline constexpr uint64_t kKiB = 1024;
inline constexpr uint64_t kMiB = 1024 * kKiB;
inline constexpr uint64_t kGiB = 1024 * kMiB;

std::string FormatBytes(uint64_t bytes);              // "1.5 GiB"
std::string FormatMilliseconds(double ms);            // "8.3 ms", "1.25 s", "3 min 10 s"
std::string FormatSeconds(double seconds);            // the same of seconds
Result<double> ParseDuration(std::string_view text);  // "30", "30s", "500ms", "5m", "2h" -> seconds
Result<uint64_t> ParseBytes(std::string_view text);   // "64M", "2GiB", "4096" -> bytes

}  // namespace holdfast
