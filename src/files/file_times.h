// Times of files, in nanoseconds since 1970.
#pragma once

#include <cstdint>
#include <ctime>

namespace holdfast {

inline constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

inline int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * kNanosecondsPerSecond + time.tv_nsec;
}

inline timespec TimespecOf(int64_t ns) {
  timespec time{};
  time.tv_sec = ns / kNanosecondsPerSecond;
  time.tv_nsec = ns % kNanosecondsPerSecond;
  if (time.tv_nsec < 0) {  // before 1970
    time.tv_nsec += kNanosecondsPerSecond;
    --time.tv_sec;
  }
  return time;
}

inline bool IsSameTime(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

inline int64_t RealTimeNs() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return Nanoseconds(now);
}

// A time of a file this much older than a look at it is older than whatever is done to the file after the
// look: inode times are those of the last timer tick, which is 10 ms at most, and of the same clock
// (current_time, fs/inode.c).
inline constexpr int64_t kTickNs = 20'000'000;

}  // namespace holdfast
