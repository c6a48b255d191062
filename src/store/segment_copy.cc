#include "store/segment_copy.h"

#include <cstring>
#include <optional>

#include "base/parallel.h"
#include "store/compress.h"

namespace holdfast {
namespace {

// The stored form of the block without the pages that nobody names, in a buffer of the calling thread that
// lives until its next call; changes `entry` to what it is then.
Result<std::span<const std::byte>> ReadTrimmed(const SegmentReader& reader, PageMask named, int zstd_level,
                                               SegmentEntry& entry) {
  thread_local std::vector<std::byte> buffer(limits::kBlockBytesMax);
  const std::span<std::byte> raw = std::span(buffer).first(entry.raw_bytes);
  TRY(reader.ReadBlock(entry, raw));
  for (size_t page = 0; page * kPageBytes < raw.size(); ++page) {
    if ((named >> page & 1) != 0) continue;
    const size_t first = page * kPageBytes;
    std::memset(&raw[first], 0, std::min<size_t>(kPageBytes, raw.size() - first));
  }
  const auto compressed = CompressBlock(raw, zstd_level);
  const std::span<const std::byte> stored = compressed.value_or(raw);
  entry.codec = compressed ? Codec::kZstd : Codec::kRaw;
  entry.stored_bytes = static_cast<uint32_t>(stored.size());
  entry.hash = HashBytes128(raw);
  // Where those that are named had been dropped before, they are kept now, as zeros: no mask would mean all.
  const PageMask kept = KeptPages(entry) & named;
  entry.kept_pages = kept != 0 ? kept : named;
  return stored;
}

}  // namespace

Result<void> SegmentCopy::Add(uint32_t number) {
  LiveSegment& segment = live_.segments[number];
  const std::unique_ptr<SegmentReader> reader = TRY(IfThere(SegmentReader::Open(*core_.backend, segment.id)));
  if (reader == nullptr) return {};
  std::vector<LiveBlock*> blocks;
  for (uint32_t i = 0; i < segment.blocks.size(); ++i) {
    LiveBlock& block = segment.blocks[i];
    if (block.named != 0 && block.keeper == BlockNumber{number, i}) blocks.push_back(&block);
  }
  return ParallelFor(blocks.size(), [&](size_t i) { return CopyBlock(*reader, *blocks[i]); });
}

Result<void> SegmentCopy::CopyBlock(const SegmentReader& reader, LiveBlock& block) {
  if (progress_ != nullptr && progress_->Cancelled()) return Fail(ErrorKind::kInterrupted, "stopped");
  PlacedBlock now{0, block.entry};
  const bool whole = (KeptPages(block.entry) & ~block.named) == 0;
  const std::span<const std::byte> stored =
      whole ? TRY(reader.ReadStored(block.entry))
            : TRY(ReadTrimmed(reader, block.named, core_.options.zstd_level, now.entry));
  SegmentWriter* const writer = TRY(Reserve(now));
  TRY(writer->Write(now.entry.offset, stored));
  block.now = now;
  const uint64_t done = done_.fetch_add(stored.size()) + stored.size();
  if (progress_ != nullptr) progress_->Advance(done);
  return {};
}

Result<SegmentWriter*> SegmentCopy::Reserve(PlacedBlock& block) {
  const std::lock_guard lock(mutex_);
  std::optional<uint64_t> offset;
  if (!written_.empty()) offset = written_.rbegin()->second.writer->Reserve(block.entry.stored_bytes);
  if (!offset) {
    std::unique_ptr<SegmentWriter> writer = TRY(SegmentWriter::Start(*core_.backend));
    offset = writer->Reserve(block.entry.stored_bytes);
    live_.names.push_back(writer->id());
    written_[static_cast<uint32_t>(live_.names.size() - 1)].writer = std::move(writer);
  }
  auto& [name, written] = *written_.rbegin();
  block.segment = name;
  block.entry.offset = offset.value();
  written.entries.push_back(block.entry);
  return written.writer.get();
}

Result<void> SegmentCopy::Seal() {
  for (auto& [name, one] : written_) TRY(one.writer->Finish(std::move(one.entries)));
  return {};
}

Result<void> SegmentCopy::Publish(const std::string& id) {
  for (auto& [name, one] : written_) {
    if (one.published || one.writer->id() != id) continue;
    TRY(one.writer->Publish());
    one.published = true;
  }
  return {};
}

}  // namespace holdfast
