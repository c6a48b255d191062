// Monotonic time, for measuring; wall time, for showing.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast {

class Stopwatch {
 public:
  double ElapsedMs() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

int64_t WallClockMs();                         // milliseconds since 1970, UTC
std::string FormatWallClock(int64_t wall_ms);  // "2026-11-24T04:10:00.123Z"

}  // namespace holdfast
