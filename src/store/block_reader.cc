// Reading blocks: one pread of the stored bytes, decompressed straight into the caller's memory. Nothing is
// shared between threads but open files. Compaction may have moved the blocks since the manifest was read:
// then they are where the manifest that is there now says, which has the same blocks in the same order.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "store/names.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

constexpr int kOpenTriesMax = 100;  // each after one more compaction has come between

using Segments = std::vector<std::unique_ptr<SegmentReader>>;

class BlockReaderImpl final : public BlockReader {
 public:
  // `moved`: in the place of `manifest` from now on, or null.
  BlockReaderImpl(const Manifest& manifest, std::unique_ptr<Manifest> moved, Segments segments)
      : moved_(std::move(moved)), manifest_(moved_ ? *moved_ : manifest), segments_(std::move(segments)) {}

  Result<void> Read(uint32_t index, std::span<std::byte> out) const override {
    if (index == kZeroBlock) {
      if (!out.empty()) std::memset(out.data(), 0, out.size());
      return {};
    }
    if (index >= manifest_.blocks.size()) {
      return Fail(ErrorKind::kInternal, fmt::format("block {} of {}", index, manifest_.blocks.size()));
    }
    const BlockRef& block = manifest_.blocks[index];
    if (block.raw_bytes != out.size() || block.segment >= segments_.size()) {
      return Fail(ErrorKind::kInternal,
                  fmt::format("block {} has {} bytes, not {}", index, block.raw_bytes, out.size()));
    }
    return segments_[block.segment]->ReadBlock(EntryOf(block), out);
  }

  Result<std::vector<std::byte>> ReadBlob(const Blob& blob) const override {
    if (blob.bytes > uint64_t{limits::kBlockBytesMax} * blob.blocks.size()) {
      return Fail(ErrorKind::kInternal, fmt::format("{} bytes in {} blocks", blob.bytes, blob.blocks.size()));
    }
    std::vector<std::byte> content(blob.bytes);
    std::span<std::byte> rest = content;
    for (const uint32_t block : blob.blocks) {
      const size_t bytes = std::min<size_t>(rest.size(), limits::kBlockBytesMax);
      TRY(Read(block, rest.first(bytes)));
      rest = rest.subspan(bytes);
    }
    return content;
  }

 private:
  const std::unique_ptr<Manifest> moved_;
  const Manifest& manifest_;
  const Segments segments_;
};

// All of the manifest's segments; `missing` is set when one of them is not there.
Result<Segments> OpenSegments(const StoreCore& core, const Manifest& manifest, std::string& missing) {
  Segments segments;
  for (const std::string& id : manifest.segments) {
    Result<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(*core.backend, id);
    if (!segment) {
      if (segment.error().kind == ErrorKind::kNotFound) missing = id;
      return std::move(segment).error();
    }
    segments.push_back(*std::move(segment));
  }
  return segments;
}

// Where the blocks of the manifest lie now; kNotFound when the snapshot was removed.
Result<std::unique_ptr<Manifest>> ReadAgain(const StoreCore& core, const Manifest& manifest) {
  const std::unique_ptr<Object> file = TRY(core.OpenManifest(manifest.id));
  Manifest now = TRY(ReadManifest(*file, ManifestKey(manifest.id)));
  const bool same_blocks =
      std::equal(now.blocks.begin(), now.blocks.end(), manifest.blocks.begin(), manifest.blocks.end(),
                 [](const BlockRef& a, const BlockRef& b) { return a.raw_bytes == b.raw_bytes; });
  if (now.id != manifest.id || !same_blocks) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} is not what it was", ManifestKey(manifest.id)));
  }
  auto places = std::make_unique<Manifest>();
  places->segments = std::move(now.segments);
  places->blocks = std::move(now.blocks);
  return places;
}

}  // namespace

Result<std::unique_ptr<BlockReader>> MakeBlockReader(const StoreCore& core, const Manifest& manifest) {
  std::unique_ptr<Manifest> moved;
  for (int tries = 0; tries < kOpenTriesMax; ++tries) {
    const Manifest& current = moved ? *moved : manifest;
    std::string missing;
    Result<Segments> segments = OpenSegments(core, current, missing);
    if (segments) {
      return std::make_unique<BlockReaderImpl>(manifest, std::move(moved), *std::move(segments));
    }
    if (missing.empty()) return std::move(segments).error();
    std::unique_ptr<Manifest> now = TRY(ReadAgain(core, manifest));
    if (std::count(now->segments.begin(), now->segments.end(), missing) != 0) {
      return Fail(ErrorKind::kCorrupt,
                  fmt::format("{} is missing; {} needs it", SegmentKey(missing), manifest.id.ToString()));
    }
    moved = std::move(now);
  }
  return Fail(ErrorKind::kBusy, fmt::format("{} is compacted all the time", manifest.id.ToString()));
}

}  // namespace holdfast
