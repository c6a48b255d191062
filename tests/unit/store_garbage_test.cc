// Removing snapshots, and what nobody needs any more.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoreGarbage : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }
  std::vector<uint64_t> Versions(const std::string& lineage = "job") const {
    std::vector<uint64_t> versions;
    const Result<std::vector<SnapshotSummary>> list = store_->Snapshots(lineage);
    if (!list) return versions;
    for (const SnapshotSummary& summary : *list) versions.push_back(summary.id.version);
    return versions;
  }
  size_t Segments() const { return CountFiles(store_->directory() / "segments"); }
  std::filesystem::path Manifest(uint64_t version) const {
    std::string digits = std::to_string(version);
    return store_->directory() / "snapshots/job" /
           (std::string(8 - digits.size(), '0') + digits + ".manifest");
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreGarbage, PruneKeepsTheNewestAndFreesTheOthersSegments) {
  for (uint64_t seed = 1; seed <= 4; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  ASSERT_OK(CommitSample(*store_, "other", 9));
  const Result<PruneReport> report = store_->Prune("job", 2);
  ASSERT_OK(report);
  ASSERT_EQ(report->removed.size(), 2U);
  EXPECT_EQ(report->removed[0].ToString(), "job@1");
  EXPECT_EQ(report->segments_removed, 2U);
  EXPECT_GT(report->bytes_freed, 0U);
  EXPECT_THAT(Versions(), ElementsAre(3, 4));
  EXPECT_THAT(Versions("other"), ElementsAre(1));
  EXPECT_EQ(Segments(), 3U);
  CheckSample(*store_, store_->Load({"job", 3}).value(), 3);
}

TEST_F(StoreGarbage, KeepingAllKeepsAll) {
  for (uint64_t seed = 1; seed <= 3; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  EXPECT_THAT(store_->Prune("job", 0)->removed, IsEmpty());
  EXPECT_THAT(store_->Prune("job", 3)->removed, IsEmpty());
  EXPECT_THAT(store_->Prune("job", UINT64_MAX)->removed, IsEmpty());
  EXPECT_THAT(Versions(), ElementsAre(1, 2, 3));
}

TEST_F(StoreGarbage, ADryRunTellsAndTouchesNothing) {
  for (uint64_t seed = 1; seed <= 3; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  const size_t files = CountFiles(store_->directory());
  const PruneReport would = store_->Prune("job", 1, /*dry_run=*/true).value();
  EXPECT_EQ(CountFiles(store_->directory()), files);
  const PruneReport did = store_->Prune("job", 1).value();
  EXPECT_EQ(would.removed, did.removed);
  EXPECT_EQ(would.segments_removed, did.segments_removed);
  EXPECT_EQ(would.bytes_freed, did.bytes_freed);
}

TEST_F(StoreGarbage, VersionsAreNeverUsedAgain) {
  for (uint64_t seed = 1; seed <= 2; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  ASSERT_OK(store_->Remove({"job", 2}));
  EXPECT_EQ(CommitSample(*store_, "job", 3)->version, 3U);
  ASSERT_OK(store_->RemoveLineage("job"));
  EXPECT_THAT(store_->Lineages().value(), IsEmpty());
  ASSERT_OK(store_->CollectGarbage());
  EXPECT_EQ(CommitSample(*store_, "job", 4)->version, 4U);
}

TEST_F(StoreGarbage, RemovingFreesSegmentsAtTheNextCollection) {
  for (uint64_t seed = 1; seed <= 2; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  ASSERT_OK(store_->Remove({"job", 1}));
  EXPECT_EQ(Segments(), 2U);
  EXPECT_EQ(store_->CollectGarbage()->segments_removed, 1U);
  EXPECT_EQ(Segments(), 1U);
  EXPECT_EQ(store_->CollectGarbage()->segments_removed, 0U);
  CheckSample(*store_, store_->Load({"job", 2}).value(), 2);
}

TEST_F(StoreGarbage, WhatIsNotThereCannotBeRemoved) {
  ASSERT_OK(CommitSample(*store_, "job", 1));
  EXPECT_EQ(store_->Remove({"job", 2}).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(store_->Remove({"job", 0}).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(store_->RemoveLineage("other").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(store_->Prune("other", 1).error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(Versions(), ElementsAre(1));
}

TEST_F(StoreGarbage, AnnotationsGoWithTheirSnapshot) {
  ASSERT_OK(CommitSample(*store_, "job", 1));
  ASSERT_OK(store_->Annotate({"job", 1}, {{"a", "b"}}));
  ASSERT_OK(store_->Remove({"job", 1}));
  ASSERT_OK(store_->CollectGarbage());
  for (const auto& entry : std::filesystem::directory_iterator(store_->directory() / "snapshots/job")) {
    EXPECT_EQ(entry.path().extension(), ".removed") << entry.path();
  }
}

TEST_F(StoreGarbage, TheWorkOfADeadWriterIsCollected) {
  ASSERT_OK(CommitSample(*store_, "job", 1));
  const size_t files = CountFiles(store_->directory());
  const pid_t pid = ::fork();
  if (pid == 0) {
    const Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
    ::_exit(pending && AppendSample(**pending, 2) ? 0 : 1);  // no destructor runs
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  ASSERT_EQ(status, 0);
  EXPECT_GT(CountFiles(store_->directory()), files);
  EXPECT_GT(store_->CollectGarbage()->bytes_freed, 0U);
  EXPECT_EQ(CountFiles(store_->directory()), files);
}

TEST_F(StoreGarbage, TheWorkOfALiveWriterIsNot) {
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job").value();
  Result<class Manifest> manifest = AppendSample(*pending, 2);
  ASSERT_OK(manifest);
  EXPECT_EQ(store_->CollectGarbage()->bytes_freed, 0U);
  ASSERT_OK(pending->Commit(*manifest, {}));
  CheckSample(*store_, store_->Load({"job", 1}).value(), 2);
}

TEST_F(StoreGarbage, WithADamagedManifestNothingIsFreedUntilItIsRemoved) {
  for (uint64_t seed = 1; seed <= 3; ++seed) ASSERT_OK(CommitSample(*store_, "job", seed));
  ASSERT_OK(store_->Remove({"job", 1}));
  WriteWholeFile(Manifest(2), "damaged");
  const Result<PruneReport> refused = store_->CollectGarbage();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(refused.error().hint, HasSubstr("job@2"));
  EXPECT_EQ(Segments(), 3U);
  ASSERT_OK(store_->Remove({"job", 2}));
  EXPECT_EQ(store_->CollectGarbage()->segments_removed, 2U);
  CheckSample(*store_, store_->Load({"job", 3}).value(), 3);
}

TEST_F(StoreGarbage, FilesOfOthersAreLeftAlone) {
  WriteWholeFile(store_->directory() / "segments/README", "mine");
  WriteWholeFile(store_->directory() / "segments/0123.seg", "not an id");
  WriteWholeFile(store_->directory() / "segments/.hidden.partial", "mine");
  ASSERT_OK(store_->CollectGarbage());
  EXPECT_EQ(ReadWholeFile(store_->directory() / "segments/README"), "mine");
  EXPECT_EQ(ReadWholeFile(store_->directory() / "segments/0123.seg"), "not an id");
  EXPECT_EQ(ReadWholeFile(store_->directory() / "segments/.hidden.partial"), "mine");
}

}  // namespace
}  // namespace holdfast
