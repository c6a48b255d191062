#include "cli/output.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Column = Table::Column;

TEST(Table, AlignsColumnsUnderTheirTitles) {
  Table table({Column{"NAME"}, Column{"SIZE", Table::Align::kRight}, Column{"NOTE"}});
  table.Row({"train", "5 B", "x"});
  table.Row({"a", "100 KiB", ""});
  EXPECT_EQ(table.Format(0),
            "NAME      SIZE  NOTE\n"
            "train      5 B  x\n"
            "a      100 KiB\n");
}

TEST(Table, WithoutRowsIsItsHeader) {
  EXPECT_EQ(Table({Column{"A"}, Column{"B"}}).Format(80), "A  B\n");
}

TEST(Table, CutsTheLastColumnAtTheTerminalsEdge) {
  Table table({Column{"NAME"}, Column{"COMMAND"}});
  table.Row({"job", std::string(100, 'x')});
  std::string text = table.Format(30);
  text = text.substr(text.find('\n') + 1);
  EXPECT_EQ(text, "job   " + std::string(23, 'x') + "…\n");
  EXPECT_NE(table.Format(0).find(std::string(100, 'x')), std::string::npos);
}

TEST(Table, CountsCharactersAndNotBytes) {
  Table table({Column{"NAME"}, Column{"B"}});
  table.Row({"äöü", "1"});
  table.Row({"abcd", "2"});
  EXPECT_EQ(table.Format(0),
            "NAME  B\n"
            "äöü   1\n"
            "abcd  2\n");
}

TEST(Table, DoesNotCutACharacterInTwo) {
  Table table({Column{"N"}, Column{"NOTE"}});
  std::string note;
  for (int i = 0; i < 50; ++i) note += "ä";
  table.Row({"1", note});
  const std::string text = table.Format(20);
  std::string wanted = "N  NOTE\n1  ";
  for (int i = 0; i < 16; ++i) wanted += "ä";
  EXPECT_EQ(text, wanted + "…\n");
}

TEST(FormatAge, ChoosesTheUnit) {
  constexpr int64_t kNow = 1'700'000'000'000;
  EXPECT_EQ(FormatAge(kNow, kNow), "0 s ago");
  EXPECT_EQ(FormatAge(kNow - 119'999, kNow), "119 s ago");
  EXPECT_EQ(FormatAge(kNow - 120'000, kNow), "2 min ago");
  EXPECT_EQ(FormatAge(kNow - 7'200'000, kNow), "2 h ago");
  EXPECT_EQ(FormatAge(kNow - 48LL * 3'600'000, kNow), "2 days ago");
  EXPECT_EQ(FormatAge(kNow + 5'000, kNow), "0 s ago") << "a clock that was set back";
}

TEST(FormatCommand, IsWhatOneWouldType) {
  EXPECT_EQ(FormatCommand({"python3", "train.py", "--lr=0.1"}), "python3 train.py --lr=0.1");
  EXPECT_EQ(FormatCommand({"sh", "-c", "a && b"}), "sh -c 'a && b'");
  EXPECT_EQ(FormatCommand({"echo", ""}), "echo ''");
  EXPECT_EQ(FormatCommand({}), "");
}

TEST(FormatCommand, AQuoteInAWordDoesNotEndIt) {
  EXPECT_EQ(FormatCommand({"echo", "it's"}), "echo 'it'\\''s'");
}

TEST(FormatCommand, HasNoControlCharacters) {
  for (const char c : FormatCommand({"a\nb\x1b[31m\x7f", "\t\r"})) {
    EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    EXPECT_NE(c, 0x7f);
  }
}

TEST(ErrorToJson, HasAllThatPeopleAreTold) {
  const Json json = ErrorToJson(FailErrno(28, "write x").WithHint("make room"));
  EXPECT_EQ(json.at("error").at("kind"), "no-space");
  EXPECT_EQ(json.at("error").at("hint"), "make room");
  EXPECT_EQ(json.at("error").at("errno"), 28);
  EXPECT_NE(json.at("error").at("message").get<std::string>().find("write x"), std::string::npos);
}

TEST(PrintError, GoesToStderrForPeopleAndToStdoutForPrograms) {
  const Error error = Fail(ErrorKind::kNotFound, "no \xff such job").WithHint("look again");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  PrintError(error, false);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "holdfast: no \xff such job\n  hint: look again\n");
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  PrintError(error, true);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  const Json json = Json::parse(::testing::internal::GetCapturedStdout());
  EXPECT_EQ(json.at("error").at("kind"), "not-found");
}

}  // namespace
}  // namespace holdfast
