// Segments: immutable files of blocks. docs/store-format.md has the layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/backend.h"
#include "store/hash.h"
#include "store/manifest.h"

namespace holdfast {

inline constexpr size_t kSegmentIdBytes = 32;

// 32 lower-case hex digits.
std::string NewSegmentId();
bool IsSegmentId(std::string_view id);
std::string SegmentKey(std::string_view id);  // "segments/ID.seg"
// The ID in a file name "ID.seg"; nothing when it is not one.
std::optional<std::string> SegmentIdOfFile(std::string_view file_name);

// Where a block lies and what it is; one index entry. A BlockRef without the manifest's segment number.
struct SegmentEntry {
  uint64_t offset = 0;
  uint32_t stored_bytes = 0;
  uint32_t raw_bytes = 0;
  Codec codec = Codec::kRaw;
  Hash128 hash{};
  // Of a block that was trimmed, the pages that were kept, a bit each (see manifest_blocks.h); 0: all. The
  // others are zeros in it. Only compaction asks; a manifest does not know it.
  uint32_t kept_pages = 0;
};

// Whether a manifest that speaks of `a` can mean `b`.
inline bool SameBlock(const SegmentEntry& a, const SegmentEntry& b) {
  return a.offset == b.offset && a.stored_bytes == b.stored_bytes && a.raw_bytes == b.raw_bytes &&
         a.codec == b.codec && a.hash == b.hash;
}

class SegmentWriter {
 public:
  static Result<std::unique_ptr<SegmentWriter>> Start(Backend& backend);

  const std::string& id() const { return id_; }
  // A place for so many bytes; nothing when the segment would grow past its limit. Calls must not overlap.
  std::optional<uint64_t> Reserve(uint32_t stored_bytes);
  // Thread-safe.
  Result<void> Write(uint64_t offset, std::span<const std::byte> stored);
  // Writes index and trailer and makes it all durable. `entries`: what was written, in any order.
  Result<void> Finish(std::vector<SegmentEntry> entries);
  // Requires: Finish.
  Result<void> Publish() { return upload_->Publish(); }

 private:
  SegmentWriter() = default;

  std::string id_;
  std::unique_ptr<Upload> upload_;
  uint64_t next_offset_ = 0;
  uint64_t reserved_count_ = 0;
};

// Thread-safe.
class SegmentReader {
 public:
  // Checks header and trailer.
  static Result<std::unique_ptr<SegmentReader>> Open(const Backend& backend, const std::string& id);

  const std::string& id() const { return id_; }
  uint64_t bytes() const { return object_->bytes(); }
  Result<std::vector<SegmentEntry>> ReadIndex() const;
  // Reads, decompresses and checks one block. Requires: out.size() == entry.raw_bytes.
  Result<void> ReadBlock(const SegmentEntry& entry, std::span<std::byte> out) const;
  // The stored bytes of one block, once they are known to decompress to what its hash says; in a buffer of
  // the calling thread that lives until its next call.
  Result<std::span<const std::byte>> ReadStored(const SegmentEntry& entry) const;

 private:
  SegmentReader() = default;
  Result<void> CheckPlace(const SegmentEntry& entry) const;
  Result<void> Unpack(const SegmentEntry& entry, std::span<const std::byte> stored,
                      std::span<std::byte> out) const;
  Result<void> CheckHash(const SegmentEntry& entry, std::span<const std::byte> raw) const;

  std::string id_;
  std::string key_;
  std::unique_ptr<Object> object_;
  uint64_t index_offset_ = 0;
  uint64_t index_count_ = 0;
  uint64_t index_hash_ = 0;
};

inline SegmentEntry EntryOf(const BlockRef& block) {
  return {block.offset, block.stored_bytes, block.raw_bytes, block.codec, block.hash, 0};
}

}  // namespace holdfast
