// A snapshot that has a parent: what the parent has is not stored again, and outlives the parent.
#include <gtest/gtest.h>

#include "store_test_support.h"

namespace holdfast {
namespace {

class StoreParent : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }
  std::filesystem::path SegmentFolder() const { return directory_.path() / "store" / "segments"; }
  // Commits the sample of `seed`, after `parent` when one is given.
  Result<SnapshotId> Commit(uint64_t seed, const Manifest* parent, uint64_t* stored) {
    const std::unique_ptr<PendingSnapshot> pending = TRY(store_->Begin("job", parent));
    Result<SnapshotId> id = pending->Commit(TRY(AppendSample(*pending, seed)), {});
    *stored = pending->bytes_stored();
    return id;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(StoreParent, WhatItHasIsNotStoredAgain) {
  uint64_t first = 0;
  ASSERT_OK(Commit(4, nullptr, &first));
  const Manifest parent = store_->Load({"job", 1}).value();
  uint64_t second = 0;
  ASSERT_OK(Commit(4, &parent, &second));
  EXPECT_GT(first, 0U);
  EXPECT_EQ(second, 0U);
  EXPECT_EQ(CountFiles(SegmentFolder()), 1U);
  CheckSample(*store_, store_->Load({"job", 2}).value(), 4);
}

TEST_F(StoreParent, WhatItLacksIsStored) {
  uint64_t first = 0;
  ASSERT_OK(Commit(4, nullptr, &first));
  const Manifest parent = store_->Load({"job", 1}).value();
  uint64_t second = 0;
  ASSERT_OK(Commit(6, &parent, &second));
  EXPECT_GT(second, first / 2);
  CheckSample(*store_, store_->Load({"job", 2}).value(), 6);
  CheckSample(*store_, store_->Load({"job", 1}).value(), 4);
}

TEST_F(StoreParent, MayGoBeforeItsChild) {
  uint64_t stored = 0;
  ASSERT_OK(Commit(4, nullptr, &stored));
  const Manifest parent = store_->Load({"job", 1}).value();
  ASSERT_OK(Commit(4, &parent, &stored));
  ASSERT_OK(store_->Remove({"job", 1}));
  const Result<PruneReport> collected = store_->CollectGarbage();
  ASSERT_OK(collected);
  EXPECT_EQ(collected->segments_removed, 0U);
  CheckSample(*store_, store_->Load({"job", 2}).value(), 4);
  EXPECT_TRUE(store_->Verify(/*read_data=*/true).value().problems.empty());
  ASSERT_OK(store_->Remove({"job", 2}));
  ASSERT_OK(store_->CollectGarbage());
  EXPECT_EQ(CountFiles(SegmentFolder()), 0U);
}

TEST_F(StoreParent, ThatIsRemovedMeanwhileIsMissed) {
  uint64_t stored = 0;
  ASSERT_OK(Commit(4, nullptr, &stored));
  const Manifest parent = store_->Load({"job", 1}).value();
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job", &parent);
  ASSERT_OK(pending);
  Result<Manifest> sample = AppendSample(**pending, 4);
  ASSERT_OK(sample);
  ASSERT_OK(store_->Remove({"job", 1}));
  ASSERT_OK(store_->CollectGarbage());
  const Result<SnapshotId> committed = (*pending)->Commit(*sample, {});
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().kind, ErrorKind::kBusy);
  EXPECT_EQ(CountFiles(SegmentFolder()), 0U);
}

TEST_F(StoreParent, GivesItsBlocksWithoutBeingRead) {
  uint64_t stored = 0;
  ASSERT_OK(Commit(4, nullptr, &stored));
  const Manifest parent = store_->Load({"job", 1}).value();
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job", &parent);
  ASSERT_OK(pending);
  Manifest manifest;
  const Extent& extent = parent.address_spaces.at(0).extents.at(0);
  ASSERT_NE(extent.block, kZeroBlock);
  const Result<uint32_t> first = (*pending)->ReuseBlock(parent.blocks[extent.block]);
  ASSERT_OK(first);
  EXPECT_EQ((*pending)->ReuseBlock(parent.blocks[extent.block]).value(), *first);
  manifest.address_spaces = {{17, {{extent.address, extent.pages, *first, extent.first_page, extent.huge}}}};
  ASSERT_OK((*pending)->Commit(manifest, {}));
  const Manifest loaded = store_->Load({"job", 2}).value();
  ASSERT_EQ(loaded.blocks.size(), 1U);
  std::vector<std::byte> before(parent.blocks[extent.block].raw_bytes);
  std::vector<std::byte> after(before.size());
  ASSERT_OK(store_->OpenBlocks(parent).value()->Read(extent.block, before));
  ASSERT_OK(store_->OpenBlocks(loaded).value()->Read(0, after));
  EXPECT_EQ(before, after);
  BlockRef stranger = parent.blocks[extent.block];
  stranger.hash[5] ^= 1;
  EXPECT_FALSE((*pending)->ReuseBlock(stranger));
}

}  // namespace
}  // namespace holdfast
