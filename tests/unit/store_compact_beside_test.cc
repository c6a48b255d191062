// Compaction beside readers and snapshots that hold on to where blocks lay, and beside commits and removals.
#include <gtest/gtest.h>

#include <functional>

#include "store_compact_test_support.h"

namespace holdfast {
namespace {

using StoreCompactBeside = StoreCompact;

TEST_F(StoreCompactBeside, AReaderReadsOnThroughIt) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Manifest manifest = store_->Load({"job", 4}).value();
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
  Compact();
  ASSERT_OK(store_->Prune("job", 1));
  ExpectContent(manifest, *blocks, model_.at({"job", 4}));
}

TEST_F(StoreCompactBeside, AManifestReadBeforeItCanBeReadByAfterIt) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Manifest manifest = store_->Load({"job", 4}).value();
  Compact();
  const Result<std::unique_ptr<BlockReader>> blocks = store_->OpenBlocks(manifest);
  ASSERT_OK(blocks);
  ExpectContent(manifest, **blocks, model_.at({"job", 4}));
  ASSERT_OK(store_->Remove({"job", 4}));
  ASSERT_OK(store_->CollectGarbage());
  EXPECT_EQ(store_->OpenBlocks(manifest).error().kind, ErrorKind::kNotFound);
}

TEST_F(StoreCompactBeside, APendingSnapshotTakesOverWhatWasMovedMeanwhile) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Before before = At(4);
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job", &before.manifest).value();
  Content content = before.content;
  content[13] = 77;
  const Result<Manifest> manifest = AppendContent(*pending, content, &before);
  ASSERT_OK(manifest);
  EXPECT_GT(Compact().segments_rewritten, 0U);
  const Result<SnapshotId> id = pending->Commit(*manifest, {});
  ASSERT_OK(id);
  model_[*id] = content;
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompactBeside, APendingSnapshotFindsItsBlocksInOthersWhenItsParentIsGone) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Before before = At(2);
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job", &before.manifest).value();
  // What stays of the parent are whole blocks, and its other child has them as well.
  Content content = before.content;
  for (size_t i = 0; i < 16; ++i) content[i] = 5000 + i;
  const Result<Manifest> manifest = AppendContent(*pending, content, &before);
  ASSERT_OK(manifest);
  Content sibling = before.content;
  sibling[0] = 6000;
  model_[CommitAfter(*store_, "job", sibling, *model_.find({"job", 2})).value()] = sibling;
  ASSERT_OK(store_->Remove({"job", 2}));
  model_.erase({"job", 2});
  EXPECT_GT(Compact().segments_rewritten, 0U);
  const Result<SnapshotId> id = pending->Commit(*manifest, {});
  ASSERT_OK(id);
  model_[*id] = content;
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompactBeside, APendingSnapshotWhoseContentIsGoneIsRefused) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Before before = At(2);
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job", &before.manifest).value();
  const Result<Manifest> manifest = AppendContent(*pending, before.content, &before);
  ASSERT_OK(manifest);
  ASSERT_OK(store_->Remove({"job", 2}));
  model_.erase({"job", 2});
  Compact();
  EXPECT_EQ(pending->Commit(*manifest, {}).error().kind, ErrorKind::kBusy);
  ExpectModel(*store_, model_);
}

// Memory is again what it was in a block of which the parent itself needs only a part.
TEST_F(StoreCompactBeside, NoPageThatWasDroppedIsTakenForWhatItWas) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Before before = At(4);
  const std::unique_ptr<PendingSnapshot> late = store_->Begin("job", &before.manifest).value();
  const Content content = Numbers(108, 8);
  const Result<Manifest> manifest = AppendContent(*late, content);
  ASSERT_OK(manifest);
  ASSERT_EQ(late->bytes_stored(), 0U) << "it was to be found in the parent";
  Compact();
  EXPECT_EQ(late->Commit(*manifest, {}).error().kind, ErrorKind::kBusy);
  ExpectModel(*store_, model_);
  // Committed before a compaction, it keeps its pages through it.
  ASSERT_NO_FATAL_FAILURE(MakeSparse("second"));
  const Manifest parent = store_->Load({"second", 4}).value();
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("second", &parent).value();
  const Result<Manifest> again = AppendContent(*pending, content);
  ASSERT_OK(again);
  model_[pending->Commit(*again, {}).value()] = content;
  Compact();
  ExpectModel(*store_, model_);
}

// Does something once it is known what is to be copied, and before anything is.
class MeanwhileProgress final : public Progress {
 public:
  explicit MeanwhileProgress(std::function<void()> meanwhile) : meanwhile_(std::move(meanwhile)) {}
  void Phase(std::string_view, uint64_t) override { meanwhile_(); }
  void Advance(uint64_t) override {}
  void Note(std::string_view) override {}

 private:
  std::function<void()> meanwhile_;
};

TEST_F(StoreCompactBeside, WhatIsCommittedMeanwhileKeepsItsPages) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Before before = At(4);
  const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job", &before.manifest).value();
  const Content content = Numbers(108, 8);  // of which the snapshots name a half
  const Result<Manifest> manifest = AppendContent(*pending, content);
  ASSERT_OK(manifest);
  MeanwhileProgress progress([&] { model_[pending->Commit(*manifest, {}).value()] = content; });
  ASSERT_OK(store_->Compact("", /*dry_run=*/false, &progress));
  ExpectModel(*store_, model_);
  Compact();
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompactBeside, WhatIsRemovedMeanwhileIsNotMissed) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  MeanwhileProgress progress([&] {
    const Result<void> removed = store_->RemoveLineage("job");
    EXPECT_TRUE(removed && store_->CollectGarbage());
  });
  ASSERT_OK(store_->Compact("", /*dry_run=*/false, &progress));
  EXPECT_EQ(SegmentBytes(*store_), 0U);
}

}  // namespace
}  // namespace holdfast
