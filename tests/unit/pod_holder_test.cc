#include "pod/holder.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

class HolderTest : public testing::Test {
 protected:
  HolderTest() {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    ended_ = *IdentifyProcess(getpid());
    ended_.pid = child;
    waitpid(child, nullptr, 0);
  }
  // On this machine, and its worker has ended.
  Holder Here() const {
    return {.pod_uid = "uid",
            .container = "main",
            .id = "c1",
            .root = directory_.path() / "with blank",
            .worker = ended_,
            .mount_namespace = *MountNamespace()};
  }
  LeaseRecord RecordOf(const Holder& holder, const std::string& node = NodeName()) const {
    LeaseRecord record;
    record.state = LeaseRecord::State::kHeld;
    record.holder = holder.ToText();
    record.node = node;
    return record;
  }
  void WriteState(const std::string& text) const {
    std::filesystem::create_directories(Here().root + "/c1");
    std::ofstream(Here().root + "/c1/state.json") << text;
  }
  void WriteState(const ProcessIdentity& process) const {
    WriteState(fmt::format(R"({{"init_process_pid":{},"init_process_start":{}}})", process.pid,
                           process.start_ticks));
  }

  TemporaryDirectory directory_;
  ProcessIdentity ended_;
};

TEST_F(HolderTest, IsItsText) {
  const Result<Holder> read = Holder::Parse(Here().ToText());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(read->IsSameContainer(Here()));
  EXPECT_EQ(read->worker, ended_);
  Holder other = Here();
  other.id = "c2";
  EXPECT_FALSE(read->IsSameContainer(other));
}

TEST_F(HolderTest, IsGoneWhenNothingKnowsIt) {
  EXPECT_TRUE(IsGone(RecordOf(Here())));
}

TEST_F(HolderTest, IsThereWhileItsWorkerIs) {
  Holder holder = Here();
  holder.worker = *IdentifyProcess(getpid());
  EXPECT_FALSE(IsGone(RecordOf(holder)));
  ++holder.worker.start_ticks;  // another process with that pid
  EXPECT_TRUE(IsGone(RecordOf(holder)));
}

TEST_F(HolderTest, IsThereWhileItsFirstProcessIs) {
  WriteState(*IdentifyProcess(getpid()));
  EXPECT_FALSE(IsGone(RecordOf(Here())));
  WriteState(ended_);
  EXPECT_TRUE(IsGone(RecordOf(Here())));
}

TEST_F(HolderTest, IsThereWhereItCannotBeTold) {
  for (const char* text : {"", "{", "[]", "{}", R"({"init_process_pid":1})"}) {
    WriteState(text);
    EXPECT_FALSE(IsGone(RecordOf(Here()))) << text;
  }
  LeaseRecord record = RecordOf(Here());
  record.holder = "somebody";
  EXPECT_FALSE(IsGone(record));
}

// Two nodes on one kernel have one boot id and one host name, and each its own /run.
TEST_F(HolderTest, OfAnotherMountNamespaceIsThere) {
  Holder holder = Here();
  holder.mount_namespace = "mnt:[1]";
  EXPECT_FALSE(IsGone(RecordOf(holder)));
}

TEST_F(HolderTest, OfAnotherMachineIsThere) {
  Holder holder = Here();
  holder.worker.boot_id = "another";
  EXPECT_FALSE(IsGone(RecordOf(holder, "another node")));
  EXPECT_FALSE(IsGone(RecordOf(holder, "")));
  EXPECT_TRUE(IsGone(RecordOf(holder)));  // this one, before it was started again
}

}  // namespace
}  // namespace holdfast
