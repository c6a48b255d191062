// Compaction: what it makes of a store, and what it leaves alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "store_compact_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

TEST_F(StoreCompact, GivesBackTheRoomBetweenWhatSnapshotsNeed) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const uint64_t before = SegmentBytes(*store_);
  ASSERT_GT(static_cast<double>(before), 1.15 * LiveBytes(model_));
  const CompactReport report = Compact();
  EXPECT_GE(report.before.bytes, before);
  EXPECT_EQ(report.after.bytes, SegmentBytes(*store_));
  EXPECT_EQ(report.after.segments, SegmentSizes(*store_).size());
  EXPECT_GT(report.snapshots_rewritten, 0U);
  ExpectModel(*store_, model_);
  ExpectCompact(*store_, model_);
}

TEST_F(StoreCompact, DoneAgainDoesNothing) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  Compact();
  const CompactReport again = Compact();
  EXPECT_EQ(again.segments_rewritten, 0U);
  EXPECT_EQ(again.snapshots_rewritten, 0U);
  EXPECT_EQ(again.before.bytes, again.after.bytes);
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompact, ADryRunForeseesAndTouchesNothing) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const uint64_t bytes = SegmentBytes(*store_);
  const CompactReport would = store_->Compact("", /*dry_run=*/true).value();
  EXPECT_EQ(SegmentBytes(*store_), bytes);
  const CompactReport did = Compact();
  EXPECT_EQ(would.before.bytes, did.before.bytes);
  EXPECT_EQ(would.segments_rewritten, did.segments_rewritten);
  // Of blocks of which a part is needed it only estimates what that takes.
  EXPECT_NEAR(static_cast<double>(would.after.bytes), static_cast<double>(did.after.bytes), 2000);
  EXPECT_EQ(would.after.segments, did.after.segments);
}

TEST_F(StoreCompact, ChangesNothingInAManifestButWhereItsBlocksLie) {
  ASSERT_OK(CommitSample(*store_, "job", 2));
  const Manifest first = store_->Load({"job", 1}).value();
  {
    // The second one keeps little of the first one's segment.
    const std::unique_ptr<PendingSnapshot> pending = store_->Begin("job", &first).value();
    Manifest manifest = first;
    manifest.shared_objects.clear();
    manifest.files.clear();
    manifest.images.clear();
    manifest.address_spaces[0].extents.resize(1);
    manifest.address_spaces[0].extents[0].block =
        pending->ReuseBlock(first.blocks[first.address_spaces[0].extents[0].block]).value();
    manifest.parent = SnapshotId{"job", 1};
    manifest.kind = SnapshotKind::kDelta;
    ASSERT_OK(pending->Commit(std::move(manifest), {{"epoch", "12"}}));
  }
  ASSERT_OK(store_->Annotate({"job", 2}, {{"tag", "best"}}));
  ASSERT_OK(store_->MakePresent({"job", 2}));
  ASSERT_OK(store_->Remove({"job", 1}));
  const Manifest before = store_->Load({"job", 2}).value();
  EXPECT_EQ(Compact().snapshots_rewritten, 1U);
  const Manifest after = store_->Load({"job", 2}).value();
  ASSERT_NE(before.segments, after.segments);

  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.parent, before.parent);
  EXPECT_EQ(after.kind, SnapshotKind::kDelta);
  EXPECT_EQ(after.created_ms, before.created_ms);
  EXPECT_EQ(after.engine_facts, before.engine_facts);
  EXPECT_EQ(after.warnings, before.warnings);
  EXPECT_EQ(after.processes.at(0).environment, before.processes.at(0).environment);
  EXPECT_EQ(after.figures.bytes_stored, before.figures.bytes_stored);
  ASSERT_EQ(after.blocks.size(), before.blocks.size());
  for (size_t i = 0; i < after.blocks.size(); ++i) EXPECT_EQ(after.blocks[i].hash, before.blocks[i].hash);
  const SnapshotSummary summary = store_->Snapshots("job").value().back();
  EXPECT_EQ(summary.annotations, (std::map<std::string, std::string>{{"epoch", "12"}, {"tag", "best"}}));
  EXPECT_TRUE(summary.present);
}

TEST_F(StoreCompact, ClonesGoAlongAndOthersAreLeftAlone) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  ASSERT_NO_FATAL_FAILURE(MakeSparse("other"));
  const Result<SnapshotId> clone =
      CommitAfter(*store_, "clone", model_.at({"job", 2}), *model_.find({"job", 2}));
  ASSERT_OK(clone);
  model_[*clone] = model_.at({"job", 2});
  const std::vector<std::string> others = store_->Load({"other", 4}).value().segments;
  Compact("clone");
  EXPECT_EQ(store_->Load({"other", 4}).value().segments, others);
  // What they share, they still share.
  EXPECT_EQ(store_->Load(*clone).value().segments, store_->Load({"job", 2}).value().segments);
  ExpectModel(*store_, model_);
  const StoreFill after = Compact().after;
  EXPECT_LE(static_cast<double>(after.bytes), 1.1 * static_cast<double>(after.live_bytes));
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompact, OneContentOfOneJobIsKeptOnce) {
  for (int i = 0; i < 4; ++i) {
    const SnapshotId id = CommitContent(*store_, "job", Numbers(1, 24)).value();  // no parent
    model_[id] = Numbers(1, 24);
  }
  model_[CommitContent(*store_, "other", Numbers(1, 24)).value()] = Numbers(1, 24);
  const uint64_t one = SegmentBytes(*store_) / 5;
  Compact();
  ExpectModel(*store_, model_);
  EXPECT_EQ(SegmentSizes(*store_).size(), 2U) << "no job's content is ever taken for another's";
  EXPECT_NEAR(static_cast<double>(SegmentBytes(*store_)), 2.0 * static_cast<double>(one), 100);
}

TEST_F(StoreCompact, ManySmallSegmentsAreJoined) {
  Content content = Numbers(1, 40);
  model_[CommitContent(*store_, "job", content).value()] = content;
  for (uint64_t i = 0; i < limits::kSmallSegmentsMax + 2; ++i) {
    content[i] = 1000 + i;
    model_[CommitAfter(*store_, "job", content, Newest("job")).value()] = content;
  }
  EXPECT_GT(SegmentSizes(*store_).size(), limits::kSmallSegmentsMax);
  Compact();
  EXPECT_EQ(SegmentSizes(*store_).size(), 1U);
  EXPECT_EQ(Compact().segments_rewritten, 0U);
  ExpectModel(*store_, model_);
  ExpectCompact(*store_, model_);
}

// Each block of the first snapshot is needed for one page only.
TEST_F(StoreCompact, PagesThatNobodyNeedsAreDroppedFromTheirBlocks) {
  Content content = Numbers(1, 64);
  model_[CommitContent(*store_, "job", content).value()] = content;
  for (size_t i = 0; i < content.size(); ++i) {
    if (i % kBlockPages != 3) content[i] = 1000 + i;
  }
  model_[CommitAfter(*store_, "job", content, Newest("job")).value()] = content;
  ASSERT_OK(store_->Remove({"job", 1}));
  model_.erase({"job", 1});
  const Before before = At(2);
  Compact();
  ExpectModel(*store_, model_);
  ExpectCompact(*store_, model_);
  EXPECT_EQ(Compact().segments_rewritten, 0U) << "once is enough";
  // Whoever read the manifest before can read by it.
  const Result<std::unique_ptr<BlockReader>> blocks = store_->OpenBlocks(before.manifest);
  ASSERT_OK(blocks);
  ExpectContent(before.manifest, **blocks, before.content);
  // And one page more goes by and by.
  content[3] = 5000;
  model_[CommitAfter(*store_, "job", content, Newest("job")).value()] = content;
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompact, DamagedBlocksAreNotCarriedAlong) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const Manifest manifest = store_->Load({"job", 4}).value();
  const std::vector<Extent>& extents = manifest.address_spaces.at(0).extents;
  const auto extent = std::find_if(extents.begin(), extents.end(),
                                   [](const Extent& one) { return one.address == 12 * kPageBytes; });
  ASSERT_NE(extent, extents.end());
  const BlockRef& block = manifest.blocks.at(extent->block);
  const std::filesystem::path file =
      store_->directory() / "segments" / (manifest.segments[block.segment] + ".seg");
  std::string bytes = ReadWholeFile(file);
  bytes.at(block.offset + block.stored_bytes / 2) ^= 1;
  WriteWholeFile(file, bytes);
  const size_t problems = store_->Verify(true)->problems.size();
  ASSERT_GT(problems, 0U);
  const Result<CompactReport> report = store_->Compact("");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(report.error().message, HasSubstr(file.filename().string()));
  EXPECT_THAT(report.error().hint, HasSubstr("verify"));
  EXPECT_EQ(store_->Verify(true)->problems.size(), problems);
  EXPECT_EQ(ReadWholeFile(file), bytes);
}

TEST_F(StoreCompact, WithADamagedManifestNothingIsDone) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const std::filesystem::path file = store_->directory() / "snapshots/job/00000002.manifest";
  std::string bytes = ReadWholeFile(file);
  bytes.at(bytes.size() - 30) ^= 1;
  WriteWholeFile(file, bytes);
  const size_t segments = SegmentSizes(*store_).size();
  const Result<CompactReport> report = store_->Compact("");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(report.error().hint, HasSubstr("job@2"));
  EXPECT_GE(SegmentSizes(*store_).size() + 1, segments) << "at most what nobody names was freed";
  ASSERT_OK(store_->Remove({"job", 2}));
  model_.erase({"job", 2});
  Compact();
  ExpectModel(*store_, model_);
}

TEST_F(StoreCompact, OneAtATime) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  const StoreLock lock = store_->Lock("compact").value();
  EXPECT_EQ(store_->Compact("").error().kind, ErrorKind::kBusy);
  ASSERT_OK(store_->Compact("", /*dry_run=*/true));
}

TEST_F(StoreCompact, WhatIsNotThereCannotBeCompacted) {
  EXPECT_EQ(Compact().before.bytes, 0U);  // an empty store
  ASSERT_NO_FATAL_FAILURE(MakeSparse("train"));
  const Error error = store_->Compact("trian").error();
  EXPECT_EQ(error.kind, ErrorKind::kNotFound);
  EXPECT_THAT(error.hint, HasSubstr("train"));
  EXPECT_EQ(store_->Compact("a/b").error().kind, ErrorKind::kUsage);
}

class CancelledProgress final : public Progress {
 public:
  explicit CancelledProgress(int asked_before) : left_(asked_before) {}
  void Phase(std::string_view, uint64_t) override {}
  void Advance(uint64_t) override {}
  void Note(std::string_view) override {}
  bool Cancelled() const override { return left_-- <= 0; }

 private:
  mutable std::atomic<int> left_;
};

TEST_F(StoreCompact, StopsWhenItIsTold) {
  ASSERT_NO_FATAL_FAILURE(MakeSparse());
  int stopped = 0;
  for (int asked = 0;; ++asked) {
    CancelledProgress progress(asked);
    const Result<CompactReport> report = store_->Compact("", /*dry_run=*/false, &progress);
    ExpectModel(*store_, model_);
    if (report) break;
    ASSERT_EQ(report.error().kind, ErrorKind::kInterrupted);
    ++stopped;
  }
  EXPECT_GT(stopped, 3);
  ExpectCompact(*store_, model_);
  for (const auto& file : std::filesystem::recursive_directory_iterator(store_->directory())) {
    EXPECT_NE(file.path().extension(), ".partial");
  }
}

}  // namespace
}  // namespace holdfast
