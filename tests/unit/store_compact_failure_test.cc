// Every step of a compaction fails in turn, and the process ends at every step in turn; whatever the step, no
// snapshot suffers, and the next compaction does what is left to do. And compaction in a full store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>

#include "store/store_core.h"
#include "store_compact_test_support.h"
#include "store_failing_backend.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// In memory: thousands of syncs need not wait for a disk.
fs::path FastFolder() {
  return fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
}

// Some snapshots of one job and a clone. Of each of the first eight blocks a half is dead, and what is needed
// of them is another part for each snapshot; the last two lie in two segments; and there is garbage.
Model MakeStore(Store& store) {
  Content content = Numbers(1, 10 * kBlockPages);
  const Content tail(content.end() - 2 * kBlockPages, content.end());
  Model model;
  model[CommitContent(store, "job", content).value()] = content;
  const auto change = [&](uint64_t version, size_t first_in_block, size_t end_in_block) {
    for (size_t i = 0; i < 8 * kBlockPages; ++i) {
      const bool chosen = i % kBlockPages >= first_in_block && i % kBlockPages < end_in_block;
      if (chosen) content[i] = 1000 * version + i;
    }
    const SnapshotId id = CommitAfter(store, "job", content, *model.rbegin()).value();
    model[id] = content;
  };
  change(2, 0, 3);
  change(3, 3, 4);
  change(4, 4, 5);
  const Model::value_type original = *model.find({"job", 3});
  model[CommitAfter(store, "clone", original.second, original).value()] = original.second;
  model[CommitContent(store, "job", tail).value()] = tail;
  model[CommitContent(store, "job", Numbers(9000, 30)).value()] = {};
  for (const uint64_t version : {1U, 6U}) {
    EXPECT_TRUE(store.Remove({"job", version}));
    model.erase({"job", version});
  }
  return model;
}

class CompactFailure : public ::testing::TestWithParam<Failure> {
 protected:
  // Compacts with a failure at this step. Whether it came so far.
  bool CompactUntil(const fs::path& directory, int step) const {
    const bool dies = GetParam() == Failure::kDeathBefore || GetParam() == Failure::kDeathAfter;
    const pid_t child = dies ? ::fork() : 0;
    if (child == 0) {
      FailingSteps steps(step, GetParam());
      const std::shared_ptr<StoreCore> core = OpenStoreDirectory(directory, {}).value();
      core->backend = std::make_unique<FailingBackend>(std::move(core->backend), steps);
      const Result<CompactReport> report = CompactStore(*core, "", /*dry_run=*/false, nullptr);
      if (dies) ::_exit(report ? 0 : 1);
      EXPECT_TRUE(report || steps.reached()) << report.error().message;
      return steps.reached();
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == kDeathStatus) << WEXITSTATUS(status);
    return WEXITSTATUS(status) == kDeathStatus;
  }
};

TEST_P(CompactFailure, AtEveryStepHarmsNothing) {
  const TemporaryDirectory directory(FastFolder());
  const fs::path original = directory.path() / "original";
  Model model;
  {
    Store store = Store::Open(original).value();
    model = MakeStore(store);
    ASSERT_GT(static_cast<double>(SegmentBytes(store)), 1.2 * LiveBytes(model));
  }
  int step = 1;
  for (;; ++step) {
    const fs::path copy = directory.path() / "copy";
    fs::remove_all(copy);
    fs::copy(original, copy, fs::copy_options::recursive);
    const bool reached = CompactUntil(copy, step);
    Store store = Store::Open(copy).value();
    ASSERT_NO_FATAL_FAILURE(ExpectModel(store, model));
    ASSERT_OK(store.Compact(""));
    ASSERT_NO_FATAL_FAILURE(ExpectModel(store, model));
    ExpectCompact(store, model);
    for (const auto& file : fs::recursive_directory_iterator(copy)) {
      EXPECT_NE(file.path().extension(), ".partial");
    }
    if (!reached || HasFailure()) break;
  }
  EXPECT_GT(step, 100) << "failures were to be made at many more steps";
  std::cout << step - 1 << " steps\n";
}

INSTANTIATE_TEST_SUITE_P(All, CompactFailure,
                         ::testing::Values(Failure::kErrorBefore, Failure::kErrorAfter, Failure::kDeathBefore,
                                           Failure::kDeathAfter));

class CompactInFullStore : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!disk_.mounted()) GTEST_SKIP() << "no file system can be mounted here";
    Result<Store> opened = Store::Open(disk_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }

  SmallDisk disk_{"8m"};
  std::unique_ptr<Store> store_;
};

TEST_F(CompactInFullStore, RefusesWhatWouldNotFitAndSaysHowMuchItNeeds) {
  const Model model = MakeStore(*store_);
  disk_.FillUpTo(*store_, 0);
  const Result<CompactReport> report = store_->Compact("");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kNoSpace);
  EXPECT_THAT(report.error().message, HasSubstr("needs 1."));
  EXPECT_THAT(report.error().hint, HasSubstr("prune"));
  ExpectModel(*store_, model);
}

TEST_F(CompactInFullStore, WhereverTheRoomEnds) {
  const Model model = MakeStore(*store_);
  int full = 0;
  bool done = false;
  for (uint64_t room = 0; room < (4 << 20) && !done; room += 64 << 10) {
    disk_.FillUpTo(*store_, room);
    const Result<CompactReport> report = store_->Compact("");
    done = report.has_value();
    if (!done) {
      ++full;
      EXPECT_EQ(report.error().kind, ErrorKind::kNoSpace) << report.error().message;
    }
    ASSERT_NO_FATAL_FAILURE(ExpectModel(*store_, model)) << room;
  }
  EXPECT_TRUE(done);
  EXPECT_GT(full, 0);
  ExpectCompact(*store_, model);
}

}  // namespace
}  // namespace holdfast
