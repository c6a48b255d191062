#include "base/clock.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>

namespace holdfast {
namespace {

TEST(FormatWallClock, WritesUtcWithMilliseconds) {
  EXPECT_EQ(FormatWallClock(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatWallClock(1'709'210'096'007), "2024-02-29T12:34:56.007Z");
  EXPECT_EQ(FormatWallClock(4'102'444'799'999), "2099-12-31T23:59:59.999Z");
}

TEST(FormatWallClock, DoesNotDependOnTheTimeZone) {
  ::setenv("TZ", "Asia/Tokyo", 1);
  ::tzset();
  EXPECT_EQ(FormatWallClock(0), "1970-01-01T00:00:00.000Z");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(WallClockMs, IsTheSystemsClock) {
  const int64_t before = static_cast<int64_t>(std::time(nullptr)) * 1000;
  const int64_t now = WallClockMs();
  const int64_t after = (static_cast<int64_t>(std::time(nullptr)) + 1) * 1000;
  EXPECT_GE(now, before);
  EXPECT_LE(now, after);
}

TEST(Stopwatch, NeverRunsBackwards) {
  const Stopwatch watch;
  double last = watch.ElapsedMs();
  EXPECT_GE(last, 0);
  for (int i = 0; i < 1000; ++i) {
    const double now = watch.ElapsedMs();
    EXPECT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace holdfast
