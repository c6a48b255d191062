// Snapshots are taken, removed, cloned and compacted at random, some while others are pending; what is left
// is compared with a model. HOLDFAST_TEST_SEED repeats a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <random>
#include <thread>

#include "store_compact_test_support.h"

namespace holdfast {
namespace {

constexpr int kSteps = 150;
constexpr size_t kPages = 40;

class RandomStore {
 public:
  explicit RandomStore(uint64_t seed) : random_(seed) {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    EXPECT_TRUE(opened) << opened.error().message;
    store_ = std::make_unique<Store>(*std::move(opened));
  }

  void Step() {
    switch (Below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return Begin();
      case 4:
      case 5:
        return CommitOne();
      case 6:
      case 7:
        return RemoveOne();
      case 8:
        return CloneOne();
      default:
        return Compact();
    }
  }
  void CommitAll() {
    while (!pending_.empty()) CommitOne();
  }
  void Compact() {
    const std::string lineage = Below(2) == 0 || model_.empty() ? "" : AnyId().lineage;
    const Result<CompactReport> report = store_->Compact(lineage);
    ASSERT_TRUE(report) << report.error().message;
    ++compacted_;
    ExpectModel(*store_, model_);
    if (lineage.empty()) ExpectAllCompact();
  }
  const Store& store() const { return *store_; }
  int compacted() const { return compacted_; }
  int refused() const { return refused_; }

 private:
  struct Pending {
    std::string lineage;
    std::optional<SnapshotId> parent;
    Content content;
    bool known = false;  // which pages have not changed since the parent
    Manifest manifest;
    std::unique_ptr<PendingSnapshot> snapshot;
  };

  uint64_t Below(uint64_t limit) { return random_() % limit; }
  const SnapshotId& AnyId() {
    return std::next(model_.begin(), static_cast<std::ptrdiff_t>(Below(model_.size())))->first;
  }

  // A snapshot that differs from its parent, if it has one, in a few runs of pages, some of which were there
  // before. Mostly the pages that have not changed are known; else equal blocks are found by their content.
  void Begin() {
    Pending pending;
    pending.lineage = "job" + std::to_string(Below(2));
    std::vector<SnapshotId> parents;
    for (const auto& [id, content] : model_) {
      if (id.lineage == pending.lineage) parents.push_back(id);
    }
    std::optional<Before> before;
    if (!parents.empty() && Below(8) != 0) {
      pending.parent = parents[Below(parents.size())];
      before = Before{store_->Load(*pending.parent).value(), model_.at(*pending.parent)};
      pending.content = before->content;
    } else {
      pending.content = Numbers(Below(10) * 1000, kPages);
    }
    const uint64_t runs = Below(6);
    for (uint64_t run = 0; run < runs; ++run) Rewrite(pending.content);
    pending.snapshot = store_->Begin(pending.lineage, before ? &before->manifest : nullptr).value();
    pending.known = before && Below(4) != 0;
    pending.manifest =
        AppendContent(*pending.snapshot, pending.content, pending.known ? &*before : nullptr).value();
    pending_.push_back(std::move(pending));
  }

  // Some pages get new numbers, or those that they have in another snapshot.
  void Rewrite(Content& content) {
    const size_t first = Below(kPages);
    const size_t end = std::min<size_t>(kPages, first + 1 + Below(12));
    const bool old = !model_.empty() && Below(2) == 0;
    const Content& other = old ? model_.at(AnyId()) : content;
    for (size_t i = first; i < end; ++i) content[i] = old ? other[i] : ++next_number_;
  }

  void CommitOne() {
    if (pending_.empty()) return;
    const auto chosen = pending_.begin() + static_cast<std::ptrdiff_t>(Below(pending_.size()));
    const Result<SnapshotId> id = chosen->snapshot->Commit(chosen->manifest, {});
    if (id) {
      model_[*id] = chosen->content;
    } else {
      // Only this may happen, and only to one whose parent is gone, or that found equal blocks in it.
      ASSERT_EQ(id.error().kind, ErrorKind::kBusy) << id.error().message;
      ASSERT_TRUE(chosen->parent && (!chosen->known || !model_.contains(*chosen->parent)));
      ++refused_;
    }
    pending_.erase(chosen);
  }

  void RemoveOne() {
    if (model_.size() < 3) return;
    const SnapshotId id = AnyId();
    ASSERT_OK(store_->Remove(id));
    model_.erase(id);
    if (Below(2) == 0) ASSERT_OK(store_->CollectGarbage());
  }

  void CloneOne() {
    if (model_.empty()) return;
    const SnapshotId original = AnyId();
    const std::string name = "clone" + std::to_string(Below(3));
    const Result<SnapshotId> id = CommitAfter(*store_, name, model_.at(original), *model_.find(original));
    ASSERT_OK(id);
    model_[*id] = model_.at(original);
  }

  // Lineages that are no kin may hold the same content; so each job with its clones is looked at by what the
  // report says.
  void ExpectAllCompact() const {
    const CompactReport report = store_->Compact("", /*dry_run=*/true).value();
    EXPECT_EQ(report.before.bytes, SegmentBytes(*store_));
    EXPECT_LE(static_cast<double>(report.before.bytes), 1.1 * static_cast<double>(report.before.live_bytes));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  std::mt19937_64 random_;
  Model model_;
  std::vector<Pending> pending_;
  uint64_t next_number_ = 1'000'000;
  int compacted_ = 0;
  int refused_ = 0;
};

TEST(StoreCompactRandom, EverySnapshotStaysWhatItIs) {
  const uint64_t seed = TestSeed();
  std::cout << "HOLDFAST_TEST_SEED=" << seed << '\n';
  RandomStore store(seed);
  for (int i = 0; i < kSteps && !::testing::Test::HasFailure(); ++i) store.Step();
  store.CommitAll();
  store.Compact();
  EXPECT_GT(store.compacted(), 1);
  std::cout << store.compacted() << " compactions, " << store.refused() << " snapshots without a parent\n";
}

// Beside it, threads commit after what is there, prune, verify and read.
TEST(StoreCompactRandom, BesideEverythingElse) {
  const uint64_t seed = TestSeed();
  std::cout << "HOLDFAST_TEST_SEED=" << seed << '\n';
  const TemporaryDirectory directory;
  Store store = Store::Open(directory.path() / "store").value();
  std::atomic<bool> over = false;
  std::atomic<int> compacted = 0;
  Content content = Numbers(1, kPages);
  Model model;
  model[CommitContent(store, "job", content).value()] = content;
  {
    std::jthread compactor([&] {
      while (!over) {
        const Result<CompactReport> report = store.Compact("");
        EXPECT_TRUE(report) << report.error().message;
        ++compacted;
      }
    });
    std::jthread reader([&] {
      while (!over) {
        const Result<Manifest> manifest = store.Load({"job", 0});
        if (!manifest) continue;  // pruned between two steps
        const Result<std::unique_ptr<BlockReader>> blocks = store.OpenBlocks(*manifest);
        if (!blocks) {
          EXPECT_EQ(blocks.error().kind, ErrorKind::kNotFound) << blocks.error().message;
          continue;
        }
        for (const Extent& extent : manifest->address_spaces.at(0).extents) {
          std::vector<std::byte> raw(manifest->blocks.at(extent.block).raw_bytes);
          EXPECT_TRUE((*blocks)->Read(extent.block, raw));
        }
      }
    });
    std::jthread verifier([&] {
      while (!over) {
        const Result<VerifyReport> report = store.Verify(/*read_data=*/true);
        if (!report) {
          EXPECT_EQ(report.error().kind, ErrorKind::kNotFound) << report.error().message;
          continue;
        }
        for (const std::string& problem : report->problems) ADD_FAILURE() << problem;
      }
    });
    std::mt19937_64 random(seed);
    for (uint64_t i = 0; i < 60; ++i) {
      for (uint64_t change = 0; change < 5; ++change) content[random() % kPages] = 1000 * (i + 1) + change;
      const Result<SnapshotId> id = CommitAfter(store, "job", content, *model.rbegin());
      EXPECT_TRUE(id) << id.error().message;
      if (id) model[*id] = content;
      if (i % 3 == 2) {
        const Result<PruneReport> pruned = store.Prune("job", 4);
        EXPECT_TRUE(pruned) << pruned.error().message;
        if (pruned) {
          for (const SnapshotId& gone : pruned->removed) model.erase(gone);
        }
      }
    }
    over = true;
  }
  EXPECT_GT(compacted, 0);
  ExpectModel(store, model);
  ASSERT_OK(store.Compact(""));
  ExpectModel(store, model);
  ExpectCompact(store, model);
}

}  // namespace
}  // namespace holdfast
