#include "store/segment_copy.h"

#include <optional>

#include "base/parallel.h"

namespace holdfast {

Result<void> SegmentCopy::Add(uint32_t number) {
  LiveSegment& segment = live_.segments[number];
  const Result<std::unique_ptr<SegmentReader>> reader = SegmentReader::Open(backend_, segment.id);
  if (!reader && reader.error().kind == ErrorKind::kNotFound) return {};
  if (!reader) return Error(reader.error());
  std::vector<LiveBlock*> blocks;
  for (uint32_t i = 0; i < segment.blocks.size(); ++i) {
    LiveBlock& block = segment.blocks[i];
    if (!block.live || block.keeper != BlockNumber{number, i}) continue;
    block.place = TRY(Reserve(block.entry));
    blocks.push_back(&block);
  }
  return ParallelFor(blocks.size(), [&](size_t i) -> Result<void> {
    if (progress_ != nullptr && progress_->Cancelled()) return Fail(ErrorKind::kInterrupted, "stopped");
    const LiveBlock& block = *blocks[i];
    const std::span<const std::byte> stored = TRY((*reader)->ReadStored(block.entry));
    TRY(written_.at(block.place.segment).writer->Write(block.place.offset, stored));
    const uint64_t done = done_.fetch_add(stored.size()) + stored.size();
    if (progress_ != nullptr) progress_->Advance(done);
    return {};
  });
}

Result<BlockPlace> SegmentCopy::Reserve(SegmentEntry entry) {
  std::optional<uint64_t> offset;
  if (!written_.empty()) offset = written_.rbegin()->second.writer->Reserve(entry.stored_bytes);
  if (!offset) {
    std::unique_ptr<SegmentWriter> writer = TRY(SegmentWriter::Start(backend_));
    offset = writer->Reserve(entry.stored_bytes);
    live_.names.push_back(writer->id());
    written_[static_cast<uint32_t>(live_.names.size() - 1)].writer = std::move(writer);
  }
  entry.offset = offset.value();
  written_.rbegin()->second.entries.push_back(entry);
  return BlockPlace{written_.rbegin()->first, entry.offset};
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
