// What the tests of compaction share: snapshots whose memory is a list of numbers, one for each page, so that
// a model of a store is a map from snapshots to lists.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store_test_support.h"

namespace holdfast {

inline constexpr size_t kBlockPages = 8;

using Content = std::vector<uint64_t>;
using Model = std::map<SnapshotId, Content>;

inline Content Numbers(uint64_t first, size_t count) {
  Content content(count);
  std::iota(content.begin(), content.end(), first);
  return content;
}

// What a number stands for; does not get smaller by compression.
inline std::vector<std::byte> PageOf(uint64_t number) {
  std::vector<std::byte> page(kPageBytes);
  std::mt19937_64 random(number);
  for (size_t at = 0; at < page.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(&page[at], &word, sizeof(word));
  }
  return page;
}

// What a snapshot comes after: pages that have not changed since are taken over without being looked at.
struct Before {
  Manifest manifest;
  Content content;
};

// Appends the memory that `content` stands for, as a checkpoint does: what is not as before, in blocks of
// runs of pages.
inline Result<Manifest> AppendContent(PendingSnapshot& pending, const Content& content,
                                      const Before* before = nullptr) {
  Manifest manifest;
  AddressSpace& space = manifest.address_spaces.emplace_back();
  space.pid = 1;
  const auto same = [&](size_t page) {
    return before != nullptr && page < before->content.size() && before->content[page] == content[page];
  };
  for (size_t first = 0; first < content.size();) {
    size_t end = first + 1;
    if (same(first)) {
      const std::vector<Extent>& known = before->manifest.address_spaces.at(0).extents;
      const auto extent = std::find_if(known.begin(), known.end(), [first](const Extent& one) {
        return one.address / kPageBytes + one.pages > first;
      });
      const size_t start = extent->address / kPageBytes;
      while (end < start + extent->pages && end < content.size() && same(end)) ++end;
      const uint32_t block = TRY(pending.ReuseBlock(before->manifest.blocks.at(extent->block)));
      const auto first_page = static_cast<uint16_t>(extent->first_page + (first - start));
      space.extents.push_back(
          {first * kPageBytes, static_cast<uint32_t>(end - first), block, first_page, false});
    } else {
      std::vector<std::byte> raw = PageOf(content[first]);
      for (; end < content.size() && end < first + kBlockPages && !same(end); ++end) {
        const std::vector<std::byte> page = PageOf(content[end]);
        raw.insert(raw.end(), page.begin(), page.end());
      }
      const uint32_t block = TRY(pending.AppendBlock(raw));
      space.extents.push_back({first * kPageBytes, static_cast<uint32_t>(end - first), block, 0, false});
    }
    first = end;
  }
  return manifest;
}

// A full snapshot.
inline Result<SnapshotId> CommitContent(Store& store, const std::string& lineage, const Content& content) {
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage));
  return pending->Commit(TRY(AppendContent(*pending, content)), {});
}

// A delta.
inline Result<SnapshotId> CommitAfter(Store& store, const std::string& lineage, const Content& content,
                                      const Model::value_type& parent) {
  const Before before{TRY(store.Load(parent.first)), parent.second};
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage, &before.manifest));
  Manifest manifest = TRY(AppendContent(*pending, content, &before));
  manifest.parent = parent.first;
  manifest.kind = SnapshotKind::kDelta;
  return pending->Commit(std::move(manifest), {{"note", "first " + std::to_string(content.front())}});
}

inline void ExpectContent(const Manifest& manifest, const BlockReader& blocks, const Content& content) {
  size_t page = 0;
  for (const Extent& extent : manifest.address_spaces.at(0).extents) {
    std::vector<std::byte> raw(manifest.blocks.at(extent.block).raw_bytes);
    ASSERT_OK(blocks.Read(extent.block, raw));
    for (size_t i = extent.first_page; i < size_t{extent.first_page} + extent.pages; ++i, ++page) {
      ASSERT_TRUE(
          std::ranges::equal(std::span(raw).subspan(i * kPageBytes, kPageBytes), PageOf(content.at(page))))
          << manifest.id.ToString() << ", page " << page;
    }
  }
  ASSERT_EQ(page, content.size()) << manifest.id.ToString();
}

inline std::set<SnapshotId> AllSnapshots(const Store& store) {
  std::set<SnapshotId> all;
  const std::vector<std::string> lineages = store.Lineages().value();
  for (const std::string& lineage : lineages) {
    const std::vector<SnapshotSummary> summaries = store.Snapshots(lineage).value();
    for (const SnapshotSummary& summary : summaries) all.insert(summary.id);
  }
  return all;
}

// The store has these snapshots, whole and right, and no others.
inline void ExpectModel(const Store& store, const Model& model) {
  std::set<SnapshotId> wanted;
  for (const auto& [id, content] : model) {
    wanted.insert(id);
    const Result<Manifest> manifest = store.Load(id);
    ASSERT_OK(manifest);
    const Result<std::unique_ptr<BlockReader>> blocks = store.OpenBlocks(*manifest);
    ASSERT_OK(blocks);
    ASSERT_NO_FATAL_FAILURE(ExpectContent(*manifest, **blocks, content));
  }
  EXPECT_EQ(AllSnapshots(store), wanted);
  const Result<VerifyReport> verified = store.Verify(/*read_data=*/true);
  ASSERT_OK(verified);
  for (const std::string& problem : verified->problems) ADD_FAILURE() << problem;
}

// The sizes of the segments; uploads that are not finished are none.
inline std::vector<uint64_t> SegmentSizes(const Store& store) {
  std::vector<uint64_t> sizes;
  for (const auto& file : std::filesystem::directory_iterator(store.directory() / "segments")) {
    if (file.path().extension() == ".seg") sizes.push_back(file.file_size());
  }
  return sizes;
}

inline uint64_t SegmentBytes(const Store& store) {
  const std::vector<uint64_t> sizes = SegmentSizes(store);
  return std::accumulate(sizes.begin(), sizes.end(), uint64_t{0});
}

// Of a model in which every number was written once: what its pages take.
inline double LiveBytes(const Model& model) {
  std::set<uint64_t> numbers;
  for (const auto& [id, content] : model) numbers.insert(content.begin(), content.end());
  return static_cast<double>(numbers.size() * kPageBytes);
}

inline void ExpectCompact(const Store& store, const Model& model) {
  EXPECT_LE(static_cast<double>(SegmentBytes(store)), 1.1 * LiveBytes(model));
}

// A store of its own, and what should be in it.
class StoreCompact : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }
  // Four snapshots of 32 pages, each after the one before and with twelve new ones; the first and the third
  // are gone. Of the first segment one block is dead then, and half of another one.
  void MakeSparse(const std::string& lineage = "job") {
    Content content = Numbers(100, 32);
    for (uint64_t version = 1; version <= 4; ++version) {
      const Result<SnapshotId> id = version == 1 ? CommitContent(*store_, lineage, content)
                                                 : CommitAfter(*store_, lineage, content, Newest(lineage));
      ASSERT_OK(id);
      model_[*id] = content;
      const size_t from = version % 2 == 1 ? 0 : 20;
      for (size_t i = 0; i < 12; ++i) content[from + i] = 1000 * version + i;
    }
    for (const uint64_t version : {1U, 3U}) {
      ASSERT_OK(store_->Remove({lineage, version}));
      model_.erase({lineage, version});
    }
  }
  const Model::value_type& Newest(const std::string& lineage) const {
    return *std::prev(model_.upper_bound({lineage, UINT64_MAX}));
  }
  Before At(uint64_t version) const {
    const SnapshotId id{"job", version};
    return {store_->Load(id).value(), model_.at(id)};
  }
  CompactReport Compact(const std::string& lineage = "") const {
    const Result<CompactReport> report = store_->Compact(lineage);
    if (!report) ADD_FAILURE() << report.error().message;
    return report.value_or(CompactReport{});
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  Model model_;
};

}  // namespace holdfast
