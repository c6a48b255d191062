#include "runtime/decision_log.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "runtime_test_support.h"

namespace holdfast {
namespace {

using testing::EndsWith;

TEST(DecisionLog, ALineSaysWhatAndWhy) {
  Decision decision{.verdict = Verdict::kTakes, .detail = {}, .identity = {}};
  decision.identity.pod_namespace = "ml";
  const std::string line = FormatDecision("kill", "4f1c", decision, "/usr/sbin/runc", 1'764'150'000'123);
  EXPECT_THAT(line, EndsWith("\n"));
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["time"], "2025-11-26T09:40:00.123Z");
  EXPECT_EQ(json["verb"], "kill");
  EXPECT_EQ(json["verdict"], "takes");
  EXPECT_EQ(json["did"], "passed through");
  EXPECT_EQ(json["namespace"], "ml");
  EXPECT_EQ(json["runtime"], "/usr/sbin/runc");
  EXPECT_FALSE(json.contains("pod"));
}

TEST(DecisionLog, WhateverIsInAnAnnotationItIsOneShortLine) {
  const std::string nasty = std::string("\n\"\\\xff\0", 5) + std::string(100'000, '\x01');
  const Decision decision{.verdict = Verdict::kBadIdentity, .detail = nasty, .identity = {}};
  const std::string line = FormatDecision("create", nasty, decision, "/r", 0);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_LE(line.size(), limits::kDecisionLineBytesMax);
  EXPECT_NO_THROW(nlohmann::json::parse(line));
}

TEST(DecisionLog, TheDirectoryIsMade) {
  const ScratchDirectory scratch;
  const std::string directory = scratch.path() / "run/runtime";
  EXPECT_TRUE(AppendToLog(directory, "one\n"));
  EXPECT_TRUE(AppendToLog(directory, "two\n"));
  EXPECT_EQ(scratch.Read("run/runtime/decisions.log"), "one\ntwo\n");
}

TEST(DecisionLog, AtMostTwoFiles) {
  const ScratchDirectory scratch;
  const std::string line = std::string(4000, 'x') + "\n";
  const auto lines = 3 * limits::kDecisionLogBytesMax / line.size();
  for (uint64_t number = 0; number < lines; ++number) ASSERT_TRUE(AppendToLog(scratch.path(), line));
  uint64_t bytes = 0;
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(scratch.path())) {
    ++files;
    bytes += entry.file_size();
    EXPECT_LE(entry.file_size(), limits::kDecisionLogBytesMax + line.size());
    EXPECT_EQ(entry.file_size() % line.size(), 0);
  }
  EXPECT_EQ(files, 2);
  EXPECT_GE(bytes, limits::kDecisionLogBytesMax);
}

TEST(DecisionLog, ManyAtOnceLoseNothing) {
  const ScratchDirectory scratch;
  constexpr int kProcesses = 4;
  constexpr int kLines = 200;
  for (int process = 0; process < kProcesses; ++process) {
    if (::fork() != 0) continue;
    for (int number = 0; number < kLines; ++number) {
      if (!AppendToLog(scratch.path(), std::to_string(process) + " " + std::to_string(number) + "\n"))
        ::_exit(1);
    }
    ::_exit(0);
  }
  for (int process = 0; process < kProcesses; ++process) {
    int status = 0;
    ::wait(&status);
    EXPECT_EQ(status, 0);
  }
  const std::string all = scratch.Read("decisions.log");
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), kProcesses * kLines);
}

TEST(DecisionLog, WhatCannotBeWrittenIsNotWaitedFor) {
  const ScratchDirectory scratch;
  scratch.Write("file", "");
  EXPECT_FALSE(AppendToLog(scratch.path() / "file/below", "x\n"));
  ASSERT_EQ(::mkfifo((scratch.path() / "decisions.log").c_str(), 0600), 0);
  EXPECT_FALSE(AppendToLog(scratch.path(), "x\n"));
  EXPECT_FALSE(AppendToLog("/proc/holdfast", "x\n"));
}

}  // namespace
}  // namespace holdfast
