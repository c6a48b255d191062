// What the tests of compaction share: snapshots whose content is a list of numbers, one for each block of
// memory, so that a model of a store is a map from snapshots to lists.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store_test_support.h"

namespace holdfast {

inline constexpr uint32_t kPiecePages = 4;
inline constexpr size_t kPieceBytes = size_t{kPiecePages} * kPageBytes;

using Content = std::vector<uint64_t>;
using Model = std::map<SnapshotId, Content>;

// The pieces from `first` on.
inline Content Numbers(uint64_t first, size_t count) {
  Content content(count);
  for (size_t i = 0; i < count; ++i) content[i] = first + i;
  return content;
}

// Appends the memory that `content` stands for.
inline Result<Manifest> AppendContent(PendingSnapshot& pending, const Content& content) {
  Manifest manifest;
  AddressSpace& space = manifest.address_spaces.emplace_back();
  space.pid = 1;
  for (size_t i = 0; i < content.size(); ++i) {
    const uint32_t block = TRY(pending.AppendBlock(TestBytes(content[i], kPieceBytes)));
    space.extents.push_back({i * kPieceBytes, kPiecePages, block, 0, false});
  }
  return manifest;
}

inline Result<SnapshotId> CommitContent(Store& store, const std::string& lineage, const Content& content,
                                        const std::optional<SnapshotId>& parent = {}) {
  std::optional<Manifest> loaded;
  if (parent) loaded = TRY(store.Load(*parent));
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage, loaded ? &*loaded : nullptr));
  Manifest manifest = TRY(AppendContent(*pending, content));
  if (parent) {
    manifest.parent = parent;
    manifest.kind = SnapshotKind::kDelta;
  }
  return pending->Commit(std::move(manifest), {{"note", "first " + std::to_string(content.front())}});
}

inline void ExpectContent(const Manifest& manifest, const BlockReader& blocks, const Content& content) {
  const std::vector<Extent>& extents = manifest.address_spaces.at(0).extents;
  ASSERT_EQ(extents.size(), content.size()) << manifest.id.ToString();
  std::vector<std::byte> piece(kPieceBytes);
  for (size_t i = 0; i < content.size(); ++i) {
    ASSERT_OK(blocks.Read(extents[i].block, piece));
    ASSERT_EQ(piece, TestBytes(content[i], kPieceBytes)) << manifest.id.ToString() << ", piece " << i;
  }
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

// The stored bytes of all blocks that snapshots name, wherever they lie, each content once.
inline uint64_t LiveBytes(const Store& store) {
  std::map<std::array<uint8_t, 16>, uint64_t> stored;
  for (const SnapshotId& id : AllSnapshots(store)) {
    const Manifest manifest = store.Load(id).value();
    for (const BlockRef& block : manifest.blocks) stored[block.hash] = block.stored_bytes;
  }
  uint64_t bytes = 0;
  for (const auto& [hash, size] : stored) bytes += size;
  return bytes;
}

inline void ExpectCompact(const Store& store) {
  EXPECT_LE(static_cast<double>(SegmentBytes(store)), 1.1 * static_cast<double>(LiveBytes(store)));
}

}  // namespace holdfast
