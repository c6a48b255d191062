// How CRIU is started and what is made of its log when it fails. A shell script plays CRIU.
#include "criu/criu_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace holdfast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kExitedWith1 = 1 << 8;

class CriuCommandTest : public ::testing::Test {
 protected:
  CriuCommandTest() {
    std::string pattern = ::testing::TempDir() + "holdfast-criu-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~CriuCommandTest() override {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  // An executable script, by its path.
  std::string Script(const std::string& name, const std::string& text) const {
    std::string path = directory_ / name;
    std::ofstream(path) << "#!/bin/sh\n" << text;
    ::chmod(path.c_str(), 0755);
    return path;
  }
  std::string Content(const std::string& name) const {
    std::ifstream file(directory_ / name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  Error ErrorFor(const std::string& log, int wait_status = kExitedWith1) const {
    std::ofstream(directory_ / "dump.log") << log;
    const CriuInstallation criu;
    return CriuError({.criu = criu, .socket_path = "", .image_directory = directory_, .arguments = {"dump"}},
                     wait_status);
  }

  std::filesystem::path directory_;
};

TEST_F(CriuCommandTest, CriuGetsItsArgumentsAndKnowsWhereWeAre) {
  CriuInstallation criu;
  criu.path = Script("criu", "shift 2; echo \"$@\" >" + (directory_ / "arguments").string() +
                                 "; echo \"$LD_PRELOAD $HOLDFAST_SOCKET ,$CRIU_CONFIG_FILE,\" >" +
                                 (directory_ / "environment").string());
  criu.plugin_directory = "/no/such/plugins";
  const CriuCommand command{.criu = criu,
                            .socket_path = "/the/socket",
                            .image_directory = directory_,
                            .arguments = {"restore", "--shell-job", "-x"}};
  Result<Subprocess> started = StartCriu(command);
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(started->Wait().value(), 0);
  EXPECT_EQ(Content("arguments"), "-x -D " + directory_.string() +
                                      " -o restore.log -v2 -L /no/such/plugins --manage-cgroups=ignore\n");
  EXPECT_EQ(Content("environment"), "/no/such/plugins/holdfast.so /the/socket ,,\n");
}

TEST_F(CriuCommandTest, AFailureIsToldInCriusOwnWords) {
  const Error error = ErrorFor(
      "(00.001) Dumping\n"
      "(00.002) Error (criu/files.c:12): the first\n"
      "(00.003) Warn  (criu/x.c:1): only a warning\n"
      "(00.004) Error (criu/mem.c:7): the second");
  EXPECT_EQ(error.kind, ErrorKind::kCriu);
  EXPECT_EQ(error.message, "criu dump exited with 1: the first; the second");
  EXPECT_EQ(error.hint, "");
}

TEST_F(CriuCommandTest, AtMostFourLinesAreShown) {
  std::string log;
  for (int i = 1; i <= 10; ++i) log += "Error (a.c:1): line " + std::to_string(i) + "\n";
  EXPECT_THAT(ErrorFor(log).message, HasSubstr("line 4"));
  EXPECT_THAT(ErrorFor(log).message, Not(HasSubstr("line 5")));
}

TEST_F(CriuCommandTest, ASignalIsToldAndSoIsAFailureWithoutALog) {
  EXPECT_EQ(ErrorFor("", 9).message, "criu dump was killed by signal 9 (Killed)");
  std::filesystem::remove(directory_ / "dump.log");
  const CriuInstallation criu;
  EXPECT_EQ(CriuError({.criu = criu, .socket_path = "", .image_directory = directory_, .arguments = {"dump"}},
                      kExitedWith1)
                .message,
            "criu dump exited with 1");
}

TEST_F(CriuCommandTest, AFullDiskIsToldAsThat) {
  const Error error = ErrorFor("Error (b.c:1): bfd: Error flushing image: No space left on device\n");
  EXPECT_EQ(error.kind, ErrorKind::kNoSpace);
  EXPECT_THAT(error.hint, HasSubstr("is full"));
}

TEST_F(CriuCommandTest, KnownFailuresHaveAHint) {
  EXPECT_THAT(ErrorFor("Error (c.c:1): Can't fork for 17: File exists\n").hint,
              HasSubstr("--pid-mode new-ns"));
  EXPECT_THAT(ErrorFor("Error (c.c:1): File x has bad size 5 (expect 4)\n").hint, HasSubstr("has changed"));
  EXPECT_THAT(ErrorFor("Error (c.c:1): External socket is used. external socket is used\n").hint,
              HasSubstr("Unix socket"));
  EXPECT_THAT(ErrorFor("Error (c.c:1): write: No space left on device\n").hint, HasSubstr("full"));
}

TEST_F(CriuCommandTest, WhatIsOfTheMomentIsTriedAgain) {
  for (const char* log : {"Error (s.c:1): unix: Non-empty write queue on an in-flight socket 0x5\n",
                          "Error (d.c:1): Zombies with threads are not supported\n"}) {
    EXPECT_EQ(ErrorFor(log).kind, ErrorKind::kBusy) << log;
  }
}

TEST_F(CriuCommandTest, ALogThatIsNoTextIsSurvived) {
  EXPECT_EQ(ErrorFor(std::string("\0\xff Error (\0\n", 12)).kind, ErrorKind::kCriu);
  EXPECT_EQ(ErrorFor("Error (").kind, ErrorKind::kCriu);
}

class FindCriuTest : public CriuCommandTest {
 protected:
  ~FindCriuTest() override {
    ::unsetenv("HOLDFAST_CRIU");
    ::unsetenv("HOLDFAST_LIBDIR");
  }
};

TEST_F(FindCriuTest, TheOneThatTheEnvironmentNamesIsTakenWhateverItsVersion) {
  const std::string path = Script("my-criu", "echo 'Version: 3.17.1'; echo 'GitID: v3'");
  ::setenv("HOLDFAST_CRIU", path.c_str(), 1);
  const Result<CriuBinary> found = FindCriuBinary();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->path, path);
  EXPECT_EQ(found->version, "3.17.1");
}

TEST_F(FindCriuTest, TheOneThatTheEnvironmentNamesMustBeThere) {
  ::setenv("HOLDFAST_CRIU", (directory_ / "missing").c_str(), 1);
  const Result<CriuBinary> found = FindCriuBinary();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("HOLDFAST_CRIU"));
}

TEST_F(FindCriuTest, AProgramWithoutAVersionHasNone) {
  for (const char* text : {"exit 1", "echo nonsense", "echo 'Version: '"}) {
    ::setenv("HOLDFAST_CRIU", Script("odd", text).c_str(), 1);
    const Result<CriuBinary> found = FindCriuBinary();
    ASSERT_TRUE(found) << text;
    EXPECT_EQ(found->version, "") << text;
  }
}

TEST_F(FindCriuTest, ThePluginIsFoundWhereTheEnvironmentSays) {
  std::filesystem::create_directory(directory_ / "criu-plugin");
  std::ofstream(directory_ / "criu-plugin" / kPluginLibrary) << "x";
  ::setenv("HOLDFAST_LIBDIR", directory_.c_str(), 1);
  EXPECT_EQ(FindPluginDirectory().value(), (directory_ / "criu-plugin").string());
}

}  // namespace
}  // namespace holdfast
