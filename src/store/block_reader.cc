// Reading blocks: one pread of the stored bytes, decompressed straight into the caller's memory. Nothing is
// shared between threads but open files.
#include <fmt/format.h>

#include <cstring>

#include "base/limits.h"
#include "store/names.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

class BlockReaderImpl final : public BlockReader {
 public:
  BlockReaderImpl(const Manifest& manifest, std::vector<std::unique_ptr<SegmentReader>> segments)
      : manifest_(manifest), segments_(std::move(segments)) {}

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
  const Manifest& manifest_;
  std::vector<std::unique_ptr<SegmentReader>> segments_;
};

}  // namespace

Result<std::unique_ptr<BlockReader>> MakeBlockReader(const StoreCore& core, const Manifest& manifest) {
  std::vector<std::unique_ptr<SegmentReader>> segments;
  for (const std::string& id : manifest.segments) {
    Result<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(*core.backend, id);
    if (!segment) {
      if (segment.error().kind != ErrorKind::kNotFound) return std::move(segment).error();
      TRY(core.OpenManifest(manifest.id));  // removed meanwhile: says so
      return Fail(ErrorKind::kCorrupt,
                  fmt::format("{} is missing; {} needs it", SegmentKey(id), manifest.id.ToString()));
    }
    segments.push_back(*std::move(segment));
  }
  return std::make_unique<BlockReaderImpl>(manifest, std::move(segments));
}

}  // namespace holdfast
