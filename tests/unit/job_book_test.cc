// The records of a store's jobs, and the small files beside them.
#include "job/job_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/stop_request.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class JobBookTest : public ::testing::Test {
 protected:
  JobBookTest() : book_(directory_.path() / "jobs") {
    std::filesystem::create_directory(directory_.path() / "jobs");
  }

  static JobRecord Record(const std::string& name) {
    JobRecord record;
    record.name = name;
    record.command = {"sleep", "1"};
    return record;
  }
  static mode_t ModeOf(const std::filesystem::path& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777U;
  }

  TemporaryDirectory directory_;
  JobBook book_;
};

TEST_F(JobBookTest, ARecordIsSavedFoundAndRemoved) {
  EXPECT_FALSE(book_.Has("train"));
  ASSERT_OK(book_.Save(Record("train")));
  EXPECT_TRUE(book_.Has("train"));
  EXPECT_EQ(book_.Load("train")->command, (std::vector<std::string>{"sleep", "1"}));
  WriteWholeFile(book_.DirectoryOf("train") / "stdout.log", "x");
  ASSERT_OK(book_.Remove("train"));
  EXPECT_FALSE(book_.Has("train"));
  EXPECT_FALSE(std::filesystem::exists(book_.DirectoryOf("train")));
}

TEST_F(JobBookTest, RecordsAreTheOwnersWhateverTheUmask) {
  const mode_t before = ::umask(0);
  const Result<void> saved = book_.Save(Record("train"));
  ::umask(before);
  ASSERT_OK(saved);
  EXPECT_EQ(ModeOf(book_.DirectoryOf("train")), 0700U);
  EXPECT_EQ(ModeOf(book_.DirectoryOf("train") / "job.json"), 0600U);
}

TEST_F(JobBookTest, ListsByNameAndSetsDamagedOnesAside) {
  for (const char* name : {"b", "a", "c"}) ASSERT_OK(book_.Save(Record(name)));
  WriteWholeFile(book_.DirectoryOf("b") / "job.json", "{");
  std::filesystem::create_directory(book_.DirectoryOf("being-made"));
  const Result<JobList> list = book_.List();
  ASSERT_OK(list);
  ASSERT_EQ(list->jobs.size(), 2U);
  EXPECT_EQ(list->jobs[0].name, "a");
  EXPECT_EQ(list->jobs[1].name, "c");
  ASSERT_EQ(list->damaged.size(), 1U);
  EXPECT_THAT(list->damaged[0].message, HasSubstr("/b/"));
  EXPECT_EQ(book_.Load("b").error().kind, ErrorKind::kCorrupt);
}

TEST_F(JobBookTest, TheDirectorysNameCounts) {
  ASSERT_OK(book_.Save(Record("old")));
  std::filesystem::rename(book_.DirectoryOf("old"), book_.DirectoryOf("new"));
  EXPECT_EQ(book_.Load("new")->name, "new");
  EXPECT_EQ(book_.List()->jobs.at(0).name, "new");
}

TEST_F(JobBookTest, AnUnknownNameIsAnsweredWithNearOnes) {
  ASSERT_OK(book_.Save(Record("train")));
  const Result<JobRecord> missing = book_.Load("trani");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(missing.error().hint, HasSubstr("train"));
  EXPECT_THAT(book_.Load("quite-another").error().hint, HasSubstr("holdfast ps"));
}

TEST_F(JobBookTest, ABookThatIsNotThereIsEmpty) {
  EXPECT_TRUE(JobBook(directory_.path() / "missing").List()->jobs.empty());
}

TEST_F(JobBookTest, NamesThatLeadElsewhereAreRefused) {
  for (const std::string name : {"", "..", "a/b", ".x"}) {
    EXPECT_EQ(book_.Load(name).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(book_.Save(Record(name)).error().kind, ErrorKind::kUsage) << name;
    EXPECT_EQ(book_.Remove(name).error().kind, ErrorKind::kUsage) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(directory_.path() / "jobs"));
}

TEST_F(JobBookTest, TheStateFollowsFromWhoLives) {
  JobRecord record = Record("train");
  const ProcessIdentity us = IdentifyProcess(::getpid()).value();
  EXPECT_EQ(book_.StateOf(record), JobState::kLost);
  record.job = us;
  EXPECT_EQ(book_.StateOf(record), JobState::kUnsupervised);
  record.supervisor = us;
  EXPECT_EQ(book_.StateOf(record), JobState::kRunning);
  record.ending = JobEnding{JobEnding::Kind::kExited, 3, "", 0};
  EXPECT_EQ(book_.StateOf(record), JobState::kExited);
  record.ending = JobEnding{JobEnding::Kind::kCheckpointed, 0, "train@2", 0};
  EXPECT_EQ(book_.StateOf(record), JobState::kCheckpointed);
}

TEST_F(JobBookTest, AStopThatNobodyWroteDownIsFoundWhenAllAreDead) {
  JobRecord record = Record("train");
  ASSERT_OK(book_.Save(record));
  ASSERT_OK(WriteStopRequest(book_.DirectoryOf("train"), {3, ""}));
  EXPECT_FALSE(book_.EndingOf(record)) << "no snapshot came of it";
  ASSERT_OK(WriteStopRequest(book_.DirectoryOf("train"), {3, "train@4"}));
  ASSERT_TRUE(book_.EndingOf(record));
  EXPECT_EQ(book_.EndingOf(record).value_or(JobEnding{}).snapshot, "train@4");
  EXPECT_EQ(book_.StateOf(record), JobState::kCheckpointed);
  record.job = IdentifyProcess(::getpid()).value();
  EXPECT_FALSE(book_.EndingOf(record)) << "it lives";
}

TEST(DescribeEnd, SaysHow) {
  EXPECT_EQ(DescribeEnd(JobState::kExited, JobEnding{JobEnding::Kind::kExited, 3, "", 0}),
            "it ended with status 3");
  EXPECT_THAT(DescribeEnd(JobState::kCheckpointed, JobEnding{JobEnding::Kind::kCheckpointed, 0, "a@4", 1}),
              HasSubstr("a@4 at 1970"));
  EXPECT_NE(DescribeEnd(JobState::kLost, std::nullopt), "");
}

TEST(StopRequest, ComesBackAndIsRemoved) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(ReadStopRequest(directory.path()));
  ASSERT_OK(WriteStopRequest(directory.path(), {7, "job@8"}));
  EXPECT_EQ(ReadStopRequest(directory.path()).value_or(StopRequest{}).newest_before, 7U);
  EXPECT_EQ(ReadStopRequest(directory.path()).value_or(StopRequest{}).snapshot, "job@8");
  RemoveStopRequest(directory.path());
  EXPECT_FALSE(ReadStopRequest(directory.path()));
}

TEST(StopRequest, OneThatCannotBeReadIsNone) {
  const TemporaryDirectory directory;
  for (const char* text : {"", "{", "null", "{\"newest_before\":\"x\",\"snapshot\":1}", "\xff"}) {
    WriteWholeFile(directory.path() / "stop.json", text);
    EXPECT_FALSE(ReadStopRequest(directory.path())) << text;
  }
}

}  // namespace
}  // namespace holdfast
