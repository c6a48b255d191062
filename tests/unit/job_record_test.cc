// Records of jobs: they come back as written, and what is no record is refused.
#include "job/job_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>

namespace holdfast {
namespace {

using ::testing::HasSubstr;

JobRecord Sample() {
  JobRecord record;
  record.name = "train";
  record.command = {"python3", "train.py", "a b", ""};
  record.working_directory = "/home/me/\xc3\xa4";
  record.started_ms = 1'700'000'000'123;
  record.job = {4711, 987654321, "boot"};
  record.supervisor = {4710, 987654320, "boot"};
  record.triggers = {.every_s = 0.5,
                     .mtbf_s = 0.25,
                     .every_dirty_bytes = 1ull << 40,
                     .on_signal = 10,
                     .deadline_s = 120,
                     .full_every = 9,
                     .freeze_budget_ms = 50};
  record.keep = 7;
  record.file_trees = {"/home/me/out", "/var/data"};
  record.private_trees = {"/home/me/out"};
  record.terminal = true;
  record.merged_output = true;
  record.resumed_from = "train@3";
  record.container = ContainerPlace{"web", "/run/runc"};
  record.ending = JobEnding{JobEnding::Kind::kCheckpointed, 137, "train@9", 1'700'000'001'000};
  return record;
}

std::string With(const std::string& from, const std::string& to) {
  std::string text = FormatJobRecord(Sample());
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

TEST(JobRecord, ComesBackAsWritten) {
  const JobRecord written = Sample();
  const Result<JobRecord> read = ParseJobRecord(FormatJobRecord(written), "job.json");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->name, written.name);
  EXPECT_EQ(read->command, written.command);
  EXPECT_EQ(read->working_directory, written.working_directory);
  EXPECT_EQ(read->started_ms, written.started_ms);
  EXPECT_EQ(read->job, written.job);
  EXPECT_EQ(read->supervisor, written.supervisor);
  EXPECT_EQ(read->triggers, written.triggers);
  EXPECT_EQ(read->keep, written.keep);
  EXPECT_EQ(read->file_trees, written.file_trees);
  EXPECT_EQ(read->private_trees, written.private_trees);
  EXPECT_TRUE(read->terminal);
  EXPECT_TRUE(read->merged_output);
  EXPECT_EQ(read->resumed_from, written.resumed_from);
  EXPECT_EQ(read->container, written.container);
  ASSERT_TRUE(read->ending);
  const JobEnding ending = read->ending.value_or(JobEnding{});
  EXPECT_EQ(ending.kind, JobEnding::Kind::kCheckpointed);
  EXPECT_EQ(ending.exit_status, 137);
  EXPECT_EQ(ending.snapshot, "train@9");
  EXPECT_EQ(ending.at_ms, 1'700'000'001'000);
}

TEST(JobRecord, OfALiveJobHasNoEnding) {
  JobRecord record = Sample();
  record.ending.reset();
  EXPECT_FALSE(ParseJobRecord(FormatJobRecord(record), "job.json")->ending);
}

TEST(JobRecord, ACommandThatIsNoTextCanBeWritten) {
  JobRecord record = Sample();
  record.command = {"\xff\xfe"};
  EXPECT_TRUE(ParseJobRecord(FormatJobRecord(record), "job.json"));
}

TEST(JobRecord, CutOffAnywhereItIsDamaged) {
  const std::string text = FormatJobRecord(Sample());
  for (size_t bytes = 0; bytes + 2 < text.size(); ++bytes) {
    const Result<JobRecord> read = ParseJobRecord(text.substr(0, bytes), "the/job.json");
    ASSERT_FALSE(read) << bytes;
    EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt);
    EXPECT_THAT(read.error().message, HasSubstr("the/job.json"));
    EXPECT_NE(read.error().hint, "");
  }
}

TEST(JobRecord, AnotherFormatIsRefused) {
  EXPECT_EQ(ParseJobRecord(With("\"format\": 1", "\"format\": 2"), "j").error().kind, ErrorKind::kCorrupt);
}

TEST(JobRecord, WrongTypesAndNumbersOutOfRangeAreDamage) {
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"train\"", "7"},
           {"4711", "-4711"},
           {"4711", "\"4711\""},
           {"4711", "99999999999999999999999"},
           {"4711", "4294967297"},  // is 1 in 32 bits
           {"\"every_s\": 0.5", "\"every_s\": -1"},
           {"\"every_s\": 0.5", "\"every_s\": null"},
           {"\"mtbf_s\": 0.25", "\"mtbf_s\": -1"},
           {"\"deadline_s\": 120.0", "\"deadline_s\": \"soon\""},
           {"\"every_s\": 0.5", "\"every_s\": 31622401.0"},
           {"\"mtbf_s\": 0.25", "\"mtbf_s\": 1e300"},
           {"\"deadline_s\": 120.0", "\"deadline_s\": 86401.0"},
           {"\"every_dirty_bytes\": 1099511627776", "\"every_dirty_bytes\": -1"},
           {"\"every_dirty_bytes\": 1099511627776", "\"every_dirty_bytes\": 18446744073709551615"},
           {"\"full_every\": 9", "\"full_every\": -9"},
           {"\"full_every\": 9", "\"full_every\": 1000001"},
           {"\"freeze_budget_ms\": 50.0", "\"freeze_budget_ms\": -1"},
           {"\"freeze_budget_ms\": 50.0", "\"freeze_budget_ms\": 1e9"},
           {"\"on_signal\": 10", "\"on_signal\": 65"},
           {"\"on_signal\": 10", "\"on_signal\": -10"},
           {"\"on_signal\": 10", "\"on_signal\": 4294967306"},  // is 10 in 32 bits
           {"\"on_signal\": 10", "\"on_signal\": 17"},          // SIGCHLD
           {"\"on_signal\": 10", "\"on_signal\": 32"},
           {"\"on_signal\": 10", "\"on_signal\": null"},
           {"\"keep\": 7", "\"keep\": -7"},
           {"\"terminal\": true", "\"terminal\": 1"},
           {"\"checkpointed\"", "\"vanished\""},
           {"\"command\": [", "\"other\": ["},
           {"\"name\"", "\"surname\""},
       }) {
    const Result<JobRecord> read = ParseJobRecord(With(from, to), "j");
    ASSERT_FALSE(read) << from << " -> " << to;
    EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt) << from << " -> " << to;
  }
  for (const char* text : {"null", "[]", "7", "\"\"", "{}", "[[[["}) {
    EXPECT_FALSE(ParseJobRecord(text, "j")) << text;
  }
}

TEST(JobRecord, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(ParseJobRecord(With("\"keep\"", "\"from_the_future\": {\"a\": 1}, \"keep\""), "j"));
}

TEST(JobRecord, OfAVersionThatKnewOnlyTheIntervalIsRead) {
  const Result<JobRecord> read = ParseJobRecord(
      With("\"mtbf_s\": 0.25,\n  \"every_dirty_bytes\": 1099511627776,\n  \"on_signal\": "
           "10,\n  \"deadline_s\": 120.0,\n  \"full_every\": 9,\n  \"freeze_budget_ms\": 50.0,",
           ""),
      "j");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->triggers, TriggerSettings{.every_s = 0.5});
}

TEST(JobRecord, SurvivesChangedBytes) {
  const char* given = ::getenv("HOLDFAST_TEST_SEED");
  const uint64_t seed = given != nullptr ? ::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 500; ++round) {
    std::string text = FormatJobRecord(Sample());
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    const Result<JobRecord> read = ParseJobRecord(text, "j");
    EXPECT_EQ(read ? ErrorKind::kCorrupt : read.error().kind, ErrorKind::kCorrupt);
  }
}

TEST(JobStateName, EveryStateHasItsOwn) {
  std::set<std::string_view> names;
  for (const JobState state : {JobState::kRunning, JobState::kUnsupervised, JobState::kExited,
                               JobState::kCheckpointed, JobState::kLost}) {
    names.insert(JobStateName(state));
  }
  EXPECT_EQ(names.size(), 5U);
}

}  // namespace
}  // namespace holdfast
