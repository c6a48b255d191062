#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/clock.h"
#include "base/limits.h"
#include "store/file_io.h"
#include "store/format.h"
#include "store/segment.h"

namespace holdfast {
namespace {

std::array<uint8_t, 16> IdBytes(std::string_view id) {
  std::array<uint8_t, 16> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) {
    const std::string_view digits = id.substr(2 * i, 2);
    std::from_chars(digits.data(), digits.data() + digits.size(), bytes[i], 16);
  }
  return bytes;
}

std::string EncodeHeader(std::string_view id, int64_t created_ms) {
  std::string out;
  PutBytes(out, format::kSegmentMagic);
  PutBytes(out, format::kVersion);
  PutBytes(out, format::kSegmentHeaderBytes);
  PutBytes(out, IdBytes(id));
  PutBytes(out, static_cast<uint64_t>(created_ms));
  out.append(16, '\0');
  PutBytes(out, HashBytes64(AsBytes(out)));
  return out;
}

std::string EncodeEnd(const std::vector<SegmentEntry>& entries, uint64_t index_offset) {
  std::string out;
  out.reserve(entries.size() * format::kSegmentEntryBytes + format::kSegmentTrailerBytes);
  for (const SegmentEntry& entry : entries) {
    PutBytes(out, entry.offset);
    PutBytes(out, entry.stored_bytes);
    PutBytes(out, entry.raw_bytes);
    PutBytes(out, entry.codec);
    PutBytes(out, entry.kept_pages);
    out.append(3, '\0');
    PutBytes(out, entry.hash);
  }
  std::string trailer;
  PutBytes(trailer, format::kSegmentEndMagic);
  PutBytes(trailer, format::kVersion);
  PutBytes(trailer, format::kSegmentEntryBytes);
  PutBytes(trailer, static_cast<uint64_t>(entries.size()));
  PutBytes(trailer, index_offset);
  PutBytes(trailer, index_offset + out.size() + format::kSegmentTrailerBytes);
  PutBytes(trailer, HashBytes64(AsBytes(out)));
  PutBytes(trailer, HashBytes64(AsBytes(trailer)));
  return out + trailer;
}

}  // namespace

std::string NewSegmentId() {
  return RandomHex(16);
}

bool IsSegmentId(std::string_view id) {
  return id.size() == kSegmentIdBytes && id.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string SegmentKey(std::string_view id) {
  return fmt::format("{}{}{}", format::kSegmentFolder, id, format::kSegmentSuffix);
}

std::optional<std::string> SegmentIdOfFile(std::string_view file_name) {
  if (!file_name.ends_with(format::kSegmentSuffix)) return std::nullopt;
  file_name.remove_suffix(format::kSegmentSuffix.size());
  if (!IsSegmentId(file_name)) return std::nullopt;
  return std::string(file_name);
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Start(Backend& backend) {
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter());
  writer->id_ = NewSegmentId();
  writer->upload_ = TRY(backend.StartUpload(SegmentKey(writer->id_)));
  TRY(writer->upload_->WriteAt(0, AsBytes(EncodeHeader(writer->id_, WallClockMs()))));
  writer->next_offset_ = format::kSegmentHeaderBytes;
  return writer;
}

std::optional<uint64_t> SegmentWriter::Reserve(uint32_t stored_bytes) {
  const uint64_t end_bytes =
      (reserved_count_ + 1) * format::kSegmentEntryBytes + format::kSegmentTrailerBytes;
  if (next_offset_ + stored_bytes + end_bytes > limits::kSegmentBytesMax) return std::nullopt;
  const uint64_t offset = next_offset_;
  next_offset_ += stored_bytes;
  ++reserved_count_;
  return offset;
}

Result<void> SegmentWriter::Write(uint64_t offset, std::span<const std::byte> stored) {
  return upload_->WriteAt(offset, stored);
}

Result<void> SegmentWriter::Finish(std::vector<SegmentEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const SegmentEntry& a, const SegmentEntry& b) { return a.offset < b.offset; });
  TRY(upload_->WriteAt(next_offset_, AsBytes(EncodeEnd(entries, next_offset_))));
  return upload_->Seal();
}

}  // namespace holdfast
