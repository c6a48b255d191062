// Several at once: threads of one process, and processes on one store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>

#include "store/store.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::IsEmpty;

class StoreConcurrency : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }
  // A snapshot of a few blocks that follow from `seed`, which is kept as its root pid.
  static Result<SnapshotId> CommitSmall(Store& store, const std::string& lineage, int seed) {
    const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage));
    Manifest manifest;
    manifest.root_pid = seed;
    manifest.images = {{"image", TRY(pending->AppendBlob(TestBytes(static_cast<uint64_t>(seed), 200'000)))}};
    return pending->Commit(std::move(manifest), {});
  }
  void ExpectWhole(const SnapshotId& id) const {
    const Result<Manifest> manifest = store_->Load(id);
    ASSERT_OK(manifest);
    const Result<std::unique_ptr<BlockReader>> blocks = store_->OpenBlocks(*manifest);
    ASSERT_OK(blocks);
    const Result<std::vector<std::byte>> content = (*blocks)->ReadBlob(manifest->images.at(0).content);
    ASSERT_OK(content);
    EXPECT_EQ(*content, TestBytes(static_cast<uint64_t>(manifest->root_pid), 200'000)) << id.ToString();
  }
  void ExpectUndamaged() const {
    const Result<VerifyReport> report = store_->Verify(true);
    ASSERT_OK(report);
    EXPECT_THAT(report->problems, IsEmpty());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreConcurrency, TheSameBlockFromManyThreadsIsStoredOnce) {
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job").value();
  const std::vector<std::byte> block = TestBytes(1, limits::kBlockBytesMax);
  std::vector<uint32_t> indexes(16);
  std::latch start(16);
  {
    std::vector<std::jthread> threads;
    for (uint32_t& index : indexes) {
      threads.emplace_back([&] {
        start.arrive_and_wait();
        index = pending->AppendBlock(block).value();
      });
    }
  }
  for (const uint32_t index : indexes) EXPECT_EQ(index, 0U);
  const uint64_t stored_once = pending->bytes_stored();
  ASSERT_OK(pending->AppendBlock(block));
  EXPECT_EQ(pending->bytes_stored(), stored_once);
  ASSERT_OK(pending->Commit(NamingBlocks(1), {}));
  EXPECT_EQ(store_->Load({"job", 1})->blocks.size(), 1U);
}

TEST_F(StoreConcurrency, ThreadsThatCommitToOneLineageEachGetAVersion) {
  constexpr int kThreads = 4;
  constexpr int kEach = 4;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < kEach; ++i) failed += CommitSmall(*store_, "job", 1 + t * kEach + i) ? 0 : 1;
      });
    }
  }
  EXPECT_EQ(failed, 0);
  const std::vector<SnapshotSummary> snapshots = store_->Snapshots("job").value();
  ASSERT_EQ(snapshots.size(), size_t{kThreads} * kEach);
  std::set<int> seeds;
  for (size_t i = 0; i < snapshots.size(); ++i) {
    EXPECT_EQ(snapshots[i].id.version, i + 1);
    ExpectWhole(snapshots[i].id);
    seeds.insert(store_->Load(snapshots[i].id)->root_pid);
  }
  EXPECT_EQ(seeds.size(), snapshots.size()) << "a snapshot is there twice, another one not at all";
}

TEST_F(StoreConcurrency, ProcessesThatCommitToOneLineageEachGetAVersion) {
  constexpr int kProcesses = 3;
  constexpr int kEach = 4;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      Result<Store> own = Store::Open(directory_.path() / "store");
      bool good = own.has_value();
      for (int i = 0; i < kEach && good; ++i) good = CommitSmall(*own, "job", 1 + p * kEach + i).has_value();
      ::_exit(good ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::vector<SnapshotSummary> snapshots = store_->Snapshots("job").value();
  ASSERT_EQ(snapshots.size(), size_t{kProcesses} * kEach);
  for (size_t i = 0; i < snapshots.size(); ++i) {
    EXPECT_EQ(snapshots[i].id.version, i + 1);
    ExpectWhole(snapshots[i].id);
  }
  ExpectUndamaged();
}

TEST_F(StoreConcurrency, ProcessesThatOpenANewStoreAtOnceAllGetIt) {
  const std::filesystem::path path = directory_.path() / "fresh" / "store";
  std::vector<pid_t> children;
  for (int p = 0; p < 6; ++p) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      Result<Store> own = Store::Open(path);
      ::_exit(own && CommitSmall(*own, "job", p + 1) ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const Result<Store> store = Store::Open(path);
  ASSERT_OK(store);
  EXPECT_EQ(store->Snapshots("job")->size(), 6U);
}

TEST_F(StoreConcurrency, GarbageCollectionTakesNothingFromCommitsUnderWay) {
  std::atomic<bool> committed = false;
  std::atomic<int> failed = 0;
  {
    std::jthread writer([&] {
      for (int i = 1; i <= 12; ++i) failed += CommitSmall(*store_, "job", i) ? 0 : 1;
      committed = true;
    });
    while (!committed) {
      const Result<PruneReport> report = store_->CollectGarbage();
      if (!report || report->segments_removed != 0) ++failed;
    }
  }
  EXPECT_EQ(failed, 0);
  const std::vector<SnapshotSummary> snapshots = store_->Snapshots("job").value();
  ASSERT_EQ(snapshots.size(), 12U);
  for (const SnapshotSummary& snapshot : snapshots) ExpectWhole(snapshot.id);
}

TEST_F(StoreConcurrency, PruningBesideCommitsKeepsTheNewestWhole) {
  std::atomic<bool> committed = false;
  std::atomic<int> failed = 0;
  ASSERT_OK(CommitSmall(*store_, "job", 1));
  {
    std::jthread writer([&] {
      for (int i = 2; i <= 12; ++i) failed += CommitSmall(*store_, "job", i) ? 0 : 1;
      committed = true;
    });
    while (!committed) failed += store_->Prune("job", 2) ? 0 : 1;
  }
  EXPECT_EQ(failed, 0);
  ASSERT_OK(store_->Prune("job", 2));
  const std::vector<SnapshotSummary> snapshots = store_->Snapshots("job").value();
  ASSERT_EQ(snapshots.size(), 2U);
  EXPECT_EQ(snapshots[1].id.version, 12U);
  for (const SnapshotSummary& snapshot : snapshots) ExpectWhole(snapshot.id);
  ExpectUndamaged();
}

TEST_F(StoreConcurrency, AReaderReadsOnWhenItsSnapshotIsRemoved) {
  ASSERT_OK(CommitSmall(*store_, "job", 5));
  ASSERT_OK(CommitSmall(*store_, "job", 6));
  const Manifest manifest = store_->Load({"job", 1}).value();
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
  ASSERT_EQ(store_->Prune("job", 1)->segments_removed, 1U);
  EXPECT_EQ(blocks->ReadBlob(manifest.images.at(0).content).value(), TestBytes(5, 200'000));
  EXPECT_EQ(store_->OpenBlocks(manifest).error().kind, ErrorKind::kNotFound) << "whoever comes later is told";
}

TEST_F(StoreConcurrency, APendingSnapshotOutlivesItsStoresHandle) {
  std::unique_ptr<PendingSnapshot> pending = store_->Begin("job").value();
  ASSERT_OK(pending->AppendBlock(TestBytes(1, 1000)));
  store_.reset();
  ASSERT_OK(pending->Commit({}, {}));
  pending.reset();
  EXPECT_EQ(Store::Open(directory_.path() / "store")->Snapshots("job")->size(), 1U);
}

}  // namespace
}  // namespace holdfast
