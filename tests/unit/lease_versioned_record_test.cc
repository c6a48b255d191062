#include "lease/versioned_record.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "store_test_support.h"

namespace holdfast {
namespace {

using std::filesystem::path;

class VersionedRecordTest : public testing::Test {
 protected:
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "record")) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  TemporaryDirectory directory_;
  const path folder_ = directory_.path();
};

TEST_F(VersionedRecordTest, StartsWithNothing) {
  const VersionedRecord record(folder_ / "record");
  const Result<VersionedRecord::Version> none = record.Read();
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(none->number, 0U);
}

TEST_F(VersionedRecordTest, EachWriteIsOverTheOneBefore) {
  const VersionedRecord record(folder_ / "record");
  EXPECT_EQ(record.Write(0, "one").value(), 1U);
  EXPECT_EQ(record.Write(1, "two").value(), 2U);
  const Result<VersionedRecord::Version> found = VersionedRecord(folder_ / "record").Read();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->number, 2U);
  EXPECT_EQ(found->content, "two");
  EXPECT_THAT(Files(), testing::ElementsAre("00000000000000000002"));
}

TEST_F(VersionedRecordTest, NobodyWritesOverWhatTheyHaveNotRead) {
  const VersionedRecord record(folder_ / "record");
  ASSERT_TRUE(record.Write(0, "one"));
  EXPECT_EQ(record.Write(0, "another one").error().kind, ErrorKind::kBusy);
  ASSERT_TRUE(record.Write(1, "two"));
  ASSERT_TRUE(record.Write(2, "three"));
  // The names of versions 1 and 2 are free again: who was away for long must see that it is too late.
  EXPECT_EQ(record.Write(0, "late").error().kind, ErrorKind::kBusy);
  EXPECT_EQ(record.Write(1, "late").error().kind, ErrorKind::kBusy);
  EXPECT_EQ(record.Read()->content, "three");
  EXPECT_THAT(Files(), testing::ElementsAre("00000000000000000003"));
}

TEST_F(VersionedRecordTest, WhatAKilledWriterLeftIsRemoved) {
  const VersionedRecord record(folder_ / "record");
  ASSERT_TRUE(record.Write(0, "one"));
  std::ofstream(folder_ / "record" / "new-1-00000000deadbeef") << "half";
  std::ofstream(folder_ / "record" / "notes.txt") << "not ours";
  ASSERT_TRUE(record.Write(1, "two"));
  EXPECT_THAT(Files(), testing::UnorderedElementsAre("00000000000000000002", "notes.txt"));
}

TEST_F(VersionedRecordTest, TooMuchIsRefusedAndMissingFoldersAreTold) {
  const VersionedRecord record(folder_ / "record");
  EXPECT_FALSE(record.Write(0, std::string(VersionedRecord::kBytesMax + 1, 'x')));
  EXPECT_EQ(record.Read()->number, 0U);
  EXPECT_EQ(VersionedRecord(folder_ / "not there" / "record").Write(0, "").error().kind,
            ErrorKind::kNotFound);
}

uint64_t Number(const std::string& text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Adds to the number in the record until it was killed or has done it `times`; tells each success by a byte.
[[noreturn]] void Count(const path& where, int times, int successes) {
  const VersionedRecord record(where);
  for (int done = 0; done < times;) {
    const Result<VersionedRecord::Version> read = record.Read();
    if (!read) _exit(1);
    const Result<uint64_t> written = record.Write(read->number, std::to_string(Number(read->content) + 1));
    if (!written && written.error().kind != ErrorKind::kBusy) _exit(2);
    if (!written) continue;
    ++done;
    if (write(successes, "x", 1) != 1) _exit(3);
  }
  _exit(0);
}

// No addition that was told as done is lost, and none is done twice, whoever is killed.
TEST_F(VersionedRecordTest, ManyProcessesCountTogether) {
  constexpr int kProcesses = 6;
  constexpr int kTimes = 60;
  const uint64_t seed = TestSeed();
  std::mt19937 random(seed);
  int successes[2];
  ASSERT_EQ(pipe2(successes, O_CLOEXEC), 0);
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t child = fork();
    if (child == 0) Count(folder_ / "record", kTimes, successes[1]);
    children.push_back(child);
  }
  for (int i = 0; i < 2; ++i) {  // two of them are killed
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 40));
    kill(children[static_cast<size_t>(i)], SIGKILL);
  }
  int killed = 0;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
      ++killed;
    } else {
      EXPECT_EQ(WEXITSTATUS(status), 0) << "seed " << seed;
    }
  }
  close(successes[1]);
  uint64_t told = 0;
  char byte = 0;
  while (read(successes[0], &byte, 1) == 1) ++told;
  close(successes[0]);
  const uint64_t counted = Number(VersionedRecord(folder_ / "record").Read()->content);
  // An addition may have been done without being told: by one that was killed in between, or that was told it
  // may have come too late because the next one was there already.
  EXPECT_GE(counted, told) << "seed " << seed;
  EXPECT_GE(told, static_cast<uint64_t>((kProcesses - killed) * kTimes)) << "seed " << seed;
}

}  // namespace
}  // namespace holdfast
