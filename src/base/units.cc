#include "base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace holdfast {

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : 1, kUnits.at(unit));
}

std::string FormatMilliseconds(double ms) {
  if (ms < 10) return fmt::format("{:.1f} ms", ms);
  if (ms < 1000) return fmt::format("{:.0f} ms", ms);
  if (ms < 60'000) return fmt::format("{:.2f} s", ms / 1000);
  const auto seconds = static_cast<uint64_t>(std::llround(ms / 1000));
  return fmt::format("{} min {} s", seconds / 60, seconds % 60);
}

std::string FormatSeconds(double seconds) {
  return FormatMilliseconds(seconds * 1000);
}

namespace {

// A number and the unit after it.
struct Quantity {
  double number = 0;
  std::string_view unit;
};

Result<Quantity> ParseQuantity(std::string_view text) {
  Quantity quantity;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, quantity.number);
  if (error != std::errc{} || !std::isfinite(quantity.number) || quantity.number < 0) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a number with a unit", text));
  }
  quantity.unit = std::string_view(rest, static_cast<size_t>(end - rest));
  return quantity;
}

}  // namespace

Result<double> ParseDuration(std::string_view text) {
  const Quantity quantity = TRY(ParseQuantity(text));
  if (quantity.unit.empty() || quantity.unit == "s") return quantity.number;
  if (quantity.unit == "ms") return quantity.number / 1000;
  if (quantity.unit == "m" || quantity.unit == "min") return quantity.number * 60;
  if (quantity.unit == "h") return quantity.number * 3600;
  if (quantity.unit == "d") return quantity.number * 86400;
  return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a duration", text))
      .WithHint("write 500ms, 30s, 5m, 2h or 1d");
}

Result<uint64_t> ParseBytes(std::string_view text) {
  const Quantity quantity = TRY(ParseQuantity(text));
  double scale = 1;
  if (!quantity.unit.empty() && quantity.unit != "B") {
    switch (quantity.unit.front()) {
      case 'k':
      case 'K':
        scale = static_cast<double>(kKiB);
        break;
      case 'M':
        scale = static_cast<double>(kMiB);
        break;
      case 'G':
        scale = static_cast<double>(kGiB);
        break;
      case 'T':
        scale = 1024.0 * static_cast<double>(kGiB);
        break;
      default:
        scale = 0;
    }
    const std::string_view tail = quantity.unit.substr(1);
    if (!tail.empty() && tail != "iB" && tail != "B") scale = 0;
  }
  const double bytes = quantity.number * scale;
  if (scale == 0 || bytes >= 9e18) {
    return Fail(ErrorKind::kUsage, fmt::format("'{}' is not a size", text))
        .WithHint("write 4096, 64K, 64MiB or 2G");
  }
  return static_cast<uint64_t>(bytes);
}

}  // namespace holdfast
