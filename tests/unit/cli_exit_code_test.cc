#include "cli/exit_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace holdfast {
namespace {

TEST(ExitCode, EveryKindOfErrorHasItsOwn) {
  std::set<int> codes;
  int kinds = 0;
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInterrupted); ++kind, ++kinds) {
    codes.insert(ExitCode(static_cast<ErrorKind>(kind)));
  }
  EXPECT_EQ(codes.size(), static_cast<size_t>(kinds));
  EXPECT_FALSE(codes.contains(0));
  EXPECT_FALSE(codes.contains(75)) << "is for a job that was stopped after a snapshot";
}

TEST(ExitCode, AreThoseOfSysexitsAndOfASignal) {
  EXPECT_EQ(ExitCode(ErrorKind::kUsage), 64);
  EXPECT_EQ(ExitCode(ErrorKind::kNotFound), 66);
  EXPECT_EQ(ExitCode(ErrorKind::kPermission), 77);
  EXPECT_EQ(ExitCode(ErrorKind::kInterrupted), 130);
}

TEST(AllExitCodes, ExplainsEachOfThemOnceInOrder) {
  const std::vector<ExitCodeText> texts = AllExitCodes();
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::kInterrupted); ++kind) {
    const auto found = std::find_if(texts.begin(), texts.end(), [&](const ExitCodeText& text) {
      return text.code == ExitCode(static_cast<ErrorKind>(kind));
    });
    ASSERT_NE(found, texts.end()) << kind;
    EXPECT_EQ(found->name, ErrorKindName(static_cast<ErrorKind>(kind)));
    EXPECT_NE(found->what, "");
  }
  for (size_t i = 1; i < texts.size(); ++i) EXPECT_LT(texts[i - 1].code, texts[i].code);
}

}  // namespace
}  // namespace holdfast
