// Writing a snapshot. Blocks come from many threads: each hashes and compresses by itself, takes a place in
// the current segment under a lock held for an addition, and writes there. What is known of blocks is spread
// over shards by hash, so that the threads seldom meet. What the parent snapshot has is not stored again: its
// segments are named beside our own.
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/clock.h"
#include "base/limits.h"
#include "base/units.h"
#include "store/block_key.h"
#include "store/compress.h"
#include "store/format.h"
#include "store/hash.h"
#include "store/manifest_blocks.h"
#include "store/moved_blocks.h"
#include "store/names.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

constexpr size_t kShards = 64;
constexpr int kCommitTriesMax = 10'000;
// In BlockRef::segment until the commit: an index into the parent's segments, not ours.
constexpr uint32_t kOfParent = 1u << 31;
static_assert(limits::kSegmentsPerSnapshotMax < kOfParent);

struct ParentBlock {
  BlockRef block;
  uint32_t index = 0;  // in the parent's manifest
};

struct alignas(64) Shard {
  std::mutex mutex;
  std::unordered_map<BlockKey, uint32_t, BlockKeyHash> index_of;
  std::unordered_map<BlockKey, ParentBlock, BlockKeyHash> of_parent;
  std::vector<std::pair<uint32_t, BlockRef>> blocks;
};

class PendingSnapshotImpl final : public PendingSnapshot {
 public:
  PendingSnapshotImpl(std::shared_ptr<StoreCore> core, std::string lineage, const Manifest* parent)
      : core_(std::move(core)), lineage_(std::move(lineage)) {
    if (parent == nullptr) return;
    parent_ = parent->id;
    parent_segments_ = parent->segments;
    for (uint32_t i = 0; i < parent->blocks.size(); ++i) {
      BlockRef block = parent->blocks[i];
      block.segment |= kOfParent;
      const BlockKey key = KeyOf(block);
      ShardOf(key).of_parent.try_emplace(key, ParentBlock{block, i});
    }
  }

  Result<uint32_t> AppendBlock(std::span<const std::byte> raw) override {
    if (raw.empty() || raw.size() > limits::kBlockBytesMax) {
      return Fail(ErrorKind::kInternal, fmt::format("a block of {} bytes", raw.size()));
    }
    if (AllZero(raw)) return kZeroBlock;
    if (failed_.load(std::memory_order_acquire)) return FirstError();
    const BlockKey key{HashBytes128(raw), static_cast<uint32_t>(raw.size())};
    Shard& shard = ShardOf(key);
    uint32_t index = 0;
    {
      // The first to come claims the content; who brings it again need not wait until it is written, because
      // nothing reads it before the commit.
      const std::lock_guard lock(shard.mutex);
      const auto [known, fresh] = shard.index_of.try_emplace(key, 0);
      if (!fresh) return known->second;
      index = next_index_.fetch_add(1, std::memory_order_relaxed);
      known->second = index;
      if (const auto stored = shard.of_parent.find(key); stored != shard.of_parent.end()) {
        shard.blocks.emplace_back(index, stored->second.block);
        return index;
      }
    }
    if (index >= kZeroBlock - kShards)
      return Failed(Fail(ErrorKind::kUnsupported, "too many blocks in one snapshot"));
    Result<BlockRef> block = StoreBlock(raw, key.hash);
    if (!block) return Failed(std::move(block).error());
    const std::lock_guard lock(shard.mutex);
    shard.blocks.emplace_back(index, *block);
    return index;
  }

  Result<uint32_t> ReuseBlock(const BlockRef& block) override {
    const BlockKey key = KeyOf(block);
    Shard& shard = ShardOf(key);
    const std::lock_guard lock(shard.mutex);
    const auto [known, fresh] = shard.index_of.try_emplace(key, 0);
    if (!fresh) return known->second;
    const auto stored = shard.of_parent.find(key);
    if (stored == shard.of_parent.end()) {
      shard.index_of.erase(known);
      return Fail(ErrorKind::kInternal, "a block to be used again is not the parent's");
    }
    known->second = next_index_.fetch_add(1, std::memory_order_relaxed);
    shard.blocks.emplace_back(known->second, stored->second.block);
    return known->second;
  }

  Result<Blob> AppendBlob(std::span<const std::byte> raw) override {
    Blob blob;
    blob.bytes = raw.size();
    while (!raw.empty()) {
      const size_t bytes = std::min<size_t>(raw.size(), limits::kBlockBytesMax);
      blob.blocks.push_back(TRY(AppendBlock(raw.first(bytes))));
      raw = raw.subspan(bytes);
    }
    return blob;
  }

  uint64_t bytes_stored() const override { return bytes_stored_.load(std::memory_order_relaxed); }

  Result<SnapshotId> Commit(Manifest manifest,
                            const std::map<std::string, std::string>& annotations) override {
    if (committed_) return Fail(ErrorKind::kInternal, "a snapshot was committed twice");
    if (failed_.load(std::memory_order_acquire)) return FirstError();
    TRY(CheckAnnotations(annotations));
    manifest.blocks = TRY(TakeBlocks());
    const std::vector<std::vector<SegmentEntry>> entries = EntriesOfSegments(manifest.blocks);
    DropUnusedBlocks(manifest);
    manifest.segments.clear();
    for (const auto& segment : segments_) manifest.segments.push_back(segment->id());
    const std::vector<std::string> reused = TakeParentSegments(manifest.blocks);
    manifest.segments.insert(manifest.segments.end(), reused.begin(), reused.end());
    manifest.id = {lineage_, 0};
    manifest.figures.bytes_stored = bytes_stored();
    if (manifest.created_ms == 0) manifest.created_ms = WallClockMs();
    EncodedManifest encoded = TRY(EncodedManifest::Make(manifest, annotations, core_->options.zstd_level));
    TRY(FinishSegments(entries));

    // Under the gate nobody removes segments: those that are there now are still there after the commit.
    const StoreGate gate = TRY(StoreGate::Shared(*core_));
    const auto in_parent = [this](const BlockKey& key) {
      const auto& known = ShardOf(key).of_parent;
      const auto found = known.find(key);
      return found == known.end() ? std::nullopt : std::optional(found->second.index);
    };
    if (parent_ && TRY(FollowMovedBlocks(*core_, *parent_, in_parent, segments_.size(), manifest))) {
      encoded = TRY(EncodedManifest::Make(manifest, annotations, core_->options.zstd_level));
    }
    Result<SnapshotId> id = Publish(encoded);
    if (!id) {
      Withdraw();
      return id;
    }
    committed_ = true;
    return id;
  }

 private:
  Result<BlockRef> StoreBlock(std::span<const std::byte> raw, const Hash128& hash) {
    BlockRef block;
    block.raw_bytes = static_cast<uint32_t>(raw.size());
    block.hash = hash;
    std::span<const std::byte> stored = raw;
    if (const auto compressed = CompressBlock(raw, core_->options.zstd_level)) {
      stored = *compressed;
      block.codec = Codec::kZstd;
    }
    block.stored_bytes = static_cast<uint32_t>(stored.size());
    SegmentWriter* const segment = TRY(Reserve(block));
    TRY(segment->Write(block.offset, stored));
    bytes_stored_.fetch_add(stored.size(), std::memory_order_relaxed);
    return block;
  }

  // Fills in where the block goes.
  Result<SegmentWriter*> Reserve(BlockRef& block) {
    const std::lock_guard lock(segments_mutex_);
    std::optional<uint64_t> offset;
    if (!segments_.empty()) offset = segments_.back()->Reserve(block.stored_bytes);
    if (!offset) {
      if (segments_.size() >= limits::kSegmentsPerSnapshotMax) {
        return Fail(ErrorKind::kUnsupported, "too many segments in one snapshot");
      }
      segments_.push_back(TRY(SegmentWriter::Start(*core_->backend)));
      offset = segments_.back()->Reserve(block.stored_bytes);
    }
    block.segment = static_cast<uint32_t>(segments_.size() - 1);
    block.offset = offset.value();
    return segments_.back().get();
  }

  Result<std::vector<BlockRef>> TakeBlocks() {
    std::vector<BlockRef> blocks(next_index_.load());
    size_t taken = 0;
    for (Shard& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      for (const auto& [index, block] : shard.blocks) blocks.at(index) = block;
      taken += shard.blocks.size();
    }
    if (taken != blocks.size())
      return Fail(ErrorKind::kInternal, "commit while blocks are still being appended");
    return blocks;
  }

  // The parent's segments that `blocks` lie in; has the blocks name them by their place behind our own.
  std::vector<std::string> TakeParentSegments(std::vector<BlockRef>& blocks) const {
    std::map<uint32_t, uint32_t> place_of;
    std::vector<std::string> taken;
    for (BlockRef& block : blocks) {
      if ((block.segment & kOfParent) == 0) continue;
      const uint32_t parents = block.segment & ~kOfParent;
      const auto [place, fresh] =
          place_of.try_emplace(parents, static_cast<uint32_t>(segments_.size() + taken.size()));
      if (fresh) taken.push_back(parent_segments_.at(parents));
      block.segment = place->second;
    }
    return taken;
  }

  // What each of our segments holds.
  std::vector<std::vector<SegmentEntry>> EntriesOfSegments(const std::vector<BlockRef>& blocks) const {
    std::vector<std::vector<SegmentEntry>> entries(segments_.size());
    for (const BlockRef& block : blocks) {
      if ((block.segment & kOfParent) == 0) entries.at(block.segment).push_back(EntryOf(block));
    }
    return entries;
  }

  Result<void> FinishSegments(const std::vector<std::vector<SegmentEntry>>& entries) {
    for (size_t i = 0; i < segments_.size(); ++i) {
      Result<void> finished = segments_[i]->Finish(entries[i]);
      if (!finished) return Failed(std::move(finished).error());
    }
    return {};
  }

  // Gives the segments and then the manifest their names. Requires: the gate.
  Result<SnapshotId> Publish(EncodedManifest& encoded) {
    for (const auto& segment : segments_) {
      TRY(segment->Publish());
      published_.push_back(segment->id());
    }
    for (int tries = 0; tries < kCommitTriesMax; ++tries) {
      const uint64_t version = TRY(core_->HighWater(lineage_)) + 1;
      if (version > format::kSnapshotVersionMax) {
        return Fail(ErrorKind::kUnsupported, fmt::format("'{}' has used up its versions", lineage_));
      }
      SnapshotId id{lineage_, version};
      encoded.SetVersion(version);
      Result<void> created = core_->backend->Create(ManifestKey(id), encoded.bytes());
      if (created) {
        // Only so that a manifest that vanishes later is missed. Failing takes nothing away from the
        // snapshot.
        static_cast<void>(core_->backend->Create(CommittedKey(id), {}));
        return id;
      }
      if (created.error().kind != ErrorKind::kExists) return Explained(std::move(created).error());
    }
    return Fail(ErrorKind::kBusy, fmt::format("others took every version of '{}' first", lineage_));
  }

  // Takes back what Publish did before it failed. Should this fail too, it is garbage that nothing refers to.
  void Withdraw() {
    for (const std::string& id : published_) {
      const Result<void> deleted = core_->backend->Delete(SegmentKey(id));
      static_cast<void>(deleted);
    }
    published_.clear();
    failed_ = true;
  }

  Error Explained(Error error) const {
    if (error.kind != ErrorKind::kNoSpace) return error;
    return std::move(error).Within(fmt::format("the store is full after {} of the snapshot of '{}'",
                                               FormatBytes(bytes_stored()), lineage_));
  }

  // Remembers the first error: nothing can be committed after it.
  Error Failed(Error error) {
    error = Explained(std::move(error));
    const std::lock_guard lock(error_mutex_);
    if (!first_error_) first_error_ = error;
    failed_.store(true, std::memory_order_release);
    return error;
  }

  Error FirstError() {
    const std::lock_guard lock(error_mutex_);
    return first_error_.value_or(Fail(ErrorKind::kInternal, "this snapshot failed before"));
  }

  Shard& ShardOf(const BlockKey& key) { return shards_.at(key.hash[0] % kShards); }

  const std::shared_ptr<StoreCore> core_;
  const std::string lineage_;
  std::optional<SnapshotId> parent_;
  std::vector<std::string> parent_segments_;
  std::array<Shard, kShards> shards_;
  std::atomic<uint32_t> next_index_ = 0;
  std::atomic<uint64_t> bytes_stored_ = 0;
  std::mutex segments_mutex_;
  std::vector<std::unique_ptr<SegmentWriter>> segments_;  // the last one takes blocks
  std::vector<std::string> published_;
  std::mutex error_mutex_;
  std::optional<Error> first_error_;
  std::atomic<bool> failed_ = false;
  bool committed_ = false;
};

}  // namespace

std::unique_ptr<PendingSnapshot> MakePendingSnapshot(std::shared_ptr<StoreCore> core, std::string lineage,
                                                     const Manifest* parent) {
  return std::make_unique<PendingSnapshotImpl>(std::move(core), std::move(lineage), parent);
}

}  // namespace holdfast
