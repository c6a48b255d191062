// The present of a lineage: what its name alone stands for.
#include <gtest/gtest.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

class StorePresent : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
    for (int i = 0; i < 3; ++i) Commit();
  }
  void Commit() {
    const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job").value();
    ASSERT_OK(pending->Commit(AppendSample(*pending, 4).value(), {}));
  }
  uint64_t Present() const { return store_->Resolve({"job", 0}).value().version; }
  std::filesystem::path File() const { return directory_.path() / "store" / "snapshots" / "job" / "present"; }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StorePresent, IsTheNewestUntilItIsSet) {
  EXPECT_EQ(Present(), 3U);
  ASSERT_OK(store_->MakePresent({"job", 1}));
  EXPECT_EQ(Present(), 1U);
  EXPECT_EQ(store_->Load({"job", 0}).value().id.version, 1U);
  const std::vector<SnapshotSummary> summaries = store_->Snapshots("job").value();
  EXPECT_TRUE(summaries[0].present);
  EXPECT_FALSE(summaries[1].present || summaries[2].present);
}

TEST_F(StorePresent, IsTheNextOneCommitted) {
  ASSERT_OK(store_->MakePresent({"job", 1}));
  Commit();
  EXPECT_EQ(Present(), 4U);
  ASSERT_OK(store_->Remove({"job", 4}));
  EXPECT_EQ(Present(), 3U);
  EXPECT_FALSE(std::filesystem::exists(File()));
}

TEST_F(StorePresent, FallsBackWhenItIsRemoved) {
  ASSERT_OK(store_->MakePresent({"job", 2}));
  ASSERT_OK(store_->Remove({"job", 2}));
  EXPECT_EQ(Present(), 3U);
  EXPECT_FALSE(store_->MakePresent({"job", 2}));
}

TEST_F(StorePresent, StaysWhenOthersGo) {
  ASSERT_OK(store_->MakePresent({"job", 1}));
  const Result<PruneReport> pruned = store_->Prune("job", 1);
  ASSERT_OK(pruned);
  EXPECT_EQ(pruned->removed, (std::vector<SnapshotId>{{"job", 2}}));
  EXPECT_EQ(Present(), 1U);
  ASSERT_OK(store_->Remove({"job", 3}));
  EXPECT_EQ(Present(), 1U);
  Commit();
  EXPECT_EQ(Present(), 4U);  // versions are never used again
}

TEST_F(StorePresent, GoesWithItsLineage) {
  ASSERT_OK(store_->MakePresent({"job", 1}));
  ASSERT_OK(store_->RemoveLineage("job"));
  EXPECT_FALSE(std::filesystem::exists(File()));
}

TEST_F(StorePresent, IsNotGuessedWhenItIsDamaged) {
  for (const std::string& text : {std::string("{"), std::string("{\"version\": 1}"), std::string(2000, ' '),
                                  std::string("{\"version\": -1, \"below\": 4}")}) {
    WriteWholeFile(File(), text);
    const Result<SnapshotId> resolved = store_->Resolve({"job", 0});
    ASSERT_FALSE(resolved) << text;
    EXPECT_EQ(resolved.error().kind, ErrorKind::kCorrupt) << text;
    EXPECT_TRUE(store_->Resolve({"job", 2}));
    EXPECT_TRUE(store_->Snapshots("job"));
    EXPECT_EQ(store_->Verify(false).value().problems.size(), 1U) << text;
  }
  ASSERT_OK(store_->MakePresent({"job", 2}));
  EXPECT_EQ(Present(), 2U);
  EXPECT_TRUE(store_->Verify(true).value().problems.empty());
}

}  // namespace
}  // namespace holdfast
