#include "base/units.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace holdfast {
namespace {

TEST(FormatBytes, KeepsThreeDigitsAndChoosesTheUnit) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(kKiB), "1.00 KiB");
  EXPECT_EQ(FormatBytes(1536), "1.50 KiB");
  EXPECT_EQ(FormatBytes(10 * kMiB), "10.0 MiB");
  EXPECT_EQ(FormatBytes(512 * kMiB + 256 * kKiB), "512.2 MiB");
  EXPECT_EQ(FormatBytes(kGiB), "1.00 GiB");
  EXPECT_EQ(FormatBytes(UINT64_MAX), "16384.0 PiB");
}

TEST(FormatMilliseconds, GoesFromTenthsToMinutes) {
  EXPECT_EQ(FormatMilliseconds(0), "0.0 ms");
  EXPECT_EQ(FormatMilliseconds(8.34), "8.3 ms");
  EXPECT_EQ(FormatMilliseconds(10), "10 ms");
  EXPECT_EQ(FormatMilliseconds(1250), "1.25 s");
  EXPECT_EQ(FormatMilliseconds(60'000), "1 min 0 s");
  EXPECT_EQ(FormatMilliseconds(190'000), "3 min 10 s");
}

TEST(FormatSeconds, IsTheSame) {
  EXPECT_EQ(FormatSeconds(0.01), "10 ms");
  EXPECT_EQ(FormatSeconds(190), "3 min 10 s");
}

TEST(ParseDuration, TakesEveryUnit) {
  EXPECT_EQ(ParseDuration("30").value(), 30);
  EXPECT_EQ(ParseDuration("30s").value(), 30);
  EXPECT_EQ(ParseDuration("500ms").value(), 0.5);
  EXPECT_EQ(ParseDuration("1.5m").value(), 90);
  EXPECT_EQ(ParseDuration("5min").value(), 300);
  EXPECT_EQ(ParseDuration("2h").value(), 7200);
  EXPECT_EQ(ParseDuration("1d").value(), 86400);
  EXPECT_EQ(ParseDuration("0").value(), 0);
}

TEST(ParseDuration, RefusesWhatIsNone) {
  for (const char* text : {"", "s", "-1s", "1 s", "1x", "1ss", "nan", "inf", "1e999", "0x10", "+5"}) {
    const Result<double> seconds = ParseDuration(text);
    ASSERT_FALSE(seconds) << text;
    EXPECT_EQ(seconds.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(seconds.error().message.find(text), std::string::npos) << seconds.error().message;
  }
}

TEST(ParseBytes, TakesBinaryUnitsInEverySpelling) {
  EXPECT_EQ(ParseBytes("0").value(), 0U);
  EXPECT_EQ(ParseBytes("4096").value(), 4096U);
  EXPECT_EQ(ParseBytes("4096B").value(), 4096U);
  EXPECT_EQ(ParseBytes("64k").value(), 64 * kKiB);
  EXPECT_EQ(ParseBytes("64K").value(), 64 * kKiB);
  EXPECT_EQ(ParseBytes("64MiB").value(), 64 * kMiB);
  EXPECT_EQ(ParseBytes("2GB").value(), 2 * kGiB);
  EXPECT_EQ(ParseBytes("1.5T").value(), 1536 * kGiB);
}

TEST(ParseBytes, RefusesWhatIsNoneOrTooMuch) {
  for (const char* text : {"", "M", "-1", "1X", "1Mi", "1MiBs", "64 M", "1e19", "99999999T", "inf", "nan"}) {
    const Result<uint64_t> bytes = ParseBytes(text);
    ASSERT_FALSE(bytes) << text << " gave " << *bytes;
    EXPECT_EQ(bytes.error().kind, ErrorKind::kUsage) << text;
  }
}

TEST(ParseBytes, ReadsBackWhatFormatBytesWrites) {
  for (const uint64_t bytes : std::array<uint64_t, 4>{0, 512, 64 * kMiB, 3 * kGiB}) {
    std::string text = FormatBytes(bytes);
    std::erase(text, ' ');
    EXPECT_EQ(ParseBytes(text).value(), bytes) << text;
  }
}

}  // namespace
}  // namespace holdfast
