#include <fmt/format.h>

#include <cstring>

#include "base/limits.h"
#include "store/compress.h"
#include "store/format.h"
#include "store/segment.h"

namespace holdfast {
namespace {

Error Damaged(const std::string& key, uint64_t offset, std::string_view what) {
  return Fail(ErrorKind::kCorrupt, fmt::format("{}: {} at offset {}", key, what, offset));
}

Error OtherVersion(const std::string& key, uint32_t version) {
  return Fail(ErrorKind::kCorrupt, fmt::format("{} has format version {}; this Holdfast reads version {}",
                                               key, version, format::kVersion));
}

std::string Hex(const std::array<uint8_t, 16>& bytes) {
  std::string text;
  for (const uint8_t byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Result<void> CheckHeader(const Object& object, const std::string& key, const std::string& id) {
  std::string bytes(format::kSegmentHeaderBytes, '\0');
  TRY(object.ReadAt(0, std::as_writable_bytes(std::span(bytes))));
  ByteReader reader(bytes);
  char magic[8];
  uint32_t version = 0;
  uint32_t header_bytes = 0;
  std::array<uint8_t, 16> stored_id{};
  uint64_t created = 0;
  char zeros[16];
  uint64_t hash = 0;
  if (!reader.Take(magic) || !reader.Take(version) || !reader.Take(header_bytes) || !reader.Take(stored_id) ||
      !reader.Take(created) || !reader.Take(zeros) || !reader.Take(hash)) {
    return Damaged(key, 0, "header cut short");
  }
  if (std::memcmp(magic, format::kSegmentMagic, sizeof(magic)) != 0) return Damaged(key, 0, "not a segment");
  if (version != format::kVersion) return OtherVersion(key, version);
  if (hash != HashBytes64(AsBytes(bytes).first(bytes.size() - sizeof(hash)))) {
    return Damaged(key, 0, "header checksum does not match");
  }
  if (header_bytes != format::kSegmentHeaderBytes) return Damaged(key, 12, "wrong header length");
  if (Hex(stored_id) != id) return Damaged(key, 16, fmt::format("this is segment {}", Hex(stored_id)));
  return {};
}

}  // namespace

Result<std::unique_ptr<SegmentReader>> SegmentReader::Open(const Backend& backend, const std::string& id) {
  std::unique_ptr<SegmentReader> segment(new SegmentReader());
  segment->id_ = id;
  segment->key_ = SegmentKey(id);
  const std::string& key = segment->key_;
  segment->object_ = TRY(backend.Open(key));
  const uint64_t bytes = segment->bytes();
  constexpr uint64_t kSmallest = format::kSegmentHeaderBytes + format::kSegmentTrailerBytes;
  if (bytes < kSmallest) return Damaged(key, bytes, "the file ends too early");
  if (bytes > limits::kSegmentBytesMax) return Damaged(key, bytes, "longer than a segment may be");
  TRY(CheckHeader(*segment->object_, key, id));

  const uint64_t trailer_offset = bytes - format::kSegmentTrailerBytes;
  std::string trailer(format::kSegmentTrailerBytes, '\0');
  TRY(segment->object_->ReadAt(trailer_offset, std::as_writable_bytes(std::span(trailer))));
  ByteReader reader(trailer);
  char magic[8];
  uint32_t version = 0;
  uint32_t entry_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t hash = 0;
  if (!reader.Take(magic) || !reader.Take(version) || !reader.Take(entry_bytes) ||
      !reader.Take(segment->index_count_) || !reader.Take(segment->index_offset_) ||
      !reader.Take(file_bytes) || !reader.Take(segment->index_hash_) || !reader.Take(hash)) {
    return Damaged(key, trailer_offset, "trailer cut short");
  }
  if (std::memcmp(magic, format::kSegmentEndMagic, sizeof(magic)) != 0) {
    return Damaged(key, trailer_offset, "no trailer: the file was cut or overwritten");
  }
  if (version != format::kVersion) return OtherVersion(key, version);
  if (hash != HashBytes64(AsBytes(trailer).first(trailer.size() - sizeof(hash)))) {
    return Damaged(key, trailer_offset, "trailer checksum does not match");
  }
  if (entry_bytes != format::kSegmentEntryBytes || file_bytes != bytes ||
      segment->index_offset_ < format::kSegmentHeaderBytes || segment->index_offset_ > trailer_offset ||
      segment->index_count_ > limits::kSegmentBytesMax ||
      segment->index_count_ * format::kSegmentEntryBytes != trailer_offset - segment->index_offset_) {
    return Damaged(key, trailer_offset, "trailer does not fit the file");
  }
  return segment;
}

Result<std::vector<SegmentEntry>> SegmentReader::ReadIndex() const {
  std::string bytes(index_count_ * format::kSegmentEntryBytes, '\0');
  TRY(object_->ReadAt(index_offset_, std::as_writable_bytes(std::span(bytes))));
  if (HashBytes64(AsBytes(bytes)) != index_hash_) {
    return Damaged(key_, index_offset_, "index checksum does not match");
  }
  std::vector<SegmentEntry> entries(index_count_);
  ByteReader reader(bytes);
  uint64_t end = format::kSegmentHeaderBytes;
  for (uint64_t i = 0; i < index_count_; ++i) {
    SegmentEntry& entry = entries[i];
    const uint64_t at = index_offset_ + i * format::kSegmentEntryBytes;
    uint8_t codec = 0;
    char zeros[3];
    if (!reader.Take(entry.offset) || !reader.Take(entry.stored_bytes) || !reader.Take(entry.raw_bytes) ||
        !reader.Take(codec) || !reader.Take(entry.kept_pages) || !reader.Take(zeros) ||
        !reader.Take(entry.hash)) {
      return Damaged(key_, at, "index cut short");
    }
    entry.codec = static_cast<Codec>(codec);
    const bool codec_fits = codec == static_cast<uint8_t>(Codec::kRaw)
                                ? entry.stored_bytes == entry.raw_bytes
                                : codec == static_cast<uint8_t>(Codec::kZstd);
    if (!codec_fits || entry.raw_bytes == 0 || entry.raw_bytes > limits::kBlockBytesMax ||
        entry.stored_bytes == 0 || entry.stored_bytes > limits::kBlockBytesMax || entry.offset < end ||
        entry.offset > index_offset_ || entry.stored_bytes > index_offset_ - entry.offset) {
      return Damaged(key_, at, "index entry makes no sense");
    }
    end = entry.offset + entry.stored_bytes;
  }
  return entries;
}

Result<void> SegmentReader::CheckPlace(const SegmentEntry& entry) const {
  if (entry.stored_bytes > limits::kBlockBytesMax || entry.offset > index_offset_ ||
      entry.stored_bytes > index_offset_ - entry.offset) {
    return Damaged(key_, entry.offset, "a block is said to lie outside of the blocks");
  }
  if (entry.codec == Codec::kRaw && entry.stored_bytes != entry.raw_bytes) {
    return Damaged(key_, entry.offset, "block of two lengths");
  }
  return {};
}

Result<void> SegmentReader::CheckHash(const SegmentEntry& entry, std::span<const std::byte> raw) const {
  if (HashBytes128(raw) == entry.hash) return {};
  return Damaged(key_, entry.offset, "block checksum does not match");
}

Result<void> SegmentReader::Unpack(const SegmentEntry& entry, std::span<const std::byte> stored,
                                   std::span<std::byte> out) const {
  if (!Decompress(stored, out)) return Damaged(key_, entry.offset, "block does not decompress");
  return CheckHash(entry, out);
}

Result<void> SegmentReader::ReadBlock(const SegmentEntry& entry, std::span<std::byte> out) const {
  TRY(CheckPlace(entry));
  if (out.size() != entry.raw_bytes) return Damaged(key_, entry.offset, "block of another length");
  if (entry.codec == Codec::kRaw) {
    TRY(object_->ReadAt(entry.offset, out));
    return CheckHash(entry, out);
  }
  thread_local std::vector<std::byte> buffer(limits::kBlockBytesMax);
  const std::span<std::byte> stored = std::span(buffer).first(entry.stored_bytes);
  TRY(object_->ReadAt(entry.offset, stored));
  return Unpack(entry, stored, out);
}

Result<std::span<const std::byte>> SegmentReader::ReadStored(const SegmentEntry& entry) const {
  TRY(CheckPlace(entry));
  thread_local std::vector<std::byte> buffer(limits::kBlockBytesMax);
  const std::span<std::byte> stored = std::span(buffer).first(entry.stored_bytes);
  TRY(object_->ReadAt(entry.offset, stored));
  if (entry.codec == Codec::kRaw) {
    TRY(CheckHash(entry, stored));
  } else {
    if (entry.raw_bytes > limits::kBlockBytesMax) {
      return Damaged(key_, entry.offset, "block longer than one may be");
    }
    thread_local std::vector<std::byte> raw(limits::kBlockBytesMax);
    TRY(Unpack(entry, stored, std::span(raw).first(entry.raw_bytes)));
  }
  return std::span<const std::byte>(stored);
}

}  // namespace holdfast
