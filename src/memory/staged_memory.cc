#include "memory/staged_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "base/parallel.h"
#include "base/units.h"

namespace holdfast {

namespace {

// In order, each of at least `bytes` but the last.
std::vector<std::span<const RemotePiece>> InBatches(std::span<const RemotePiece> pieces, uint64_t bytes) {
  std::vector<std::span<const RemotePiece>> batches;
  size_t begin = 0;
  uint64_t gathered = 0;
  for (size_t i = 0; i < pieces.size(); ++i) {
    gathered += pieces[i].to.size();
    if (gathered < bytes && i + 1 < pieces.size()) continue;
    batches.push_back(pieces.subspan(begin, i + 1 - begin));
    begin = i + 1;
    gathered = 0;
  }
  return batches;
}

}  // namespace

StagedMemory::StagedMemory(StagedMemory&& other) noexcept
    : areas_(std::exchange(other.areas_, {})),
      ranges_(std::exchange(other.ranges_, {})),
      reserved_(std::exchange(other.reserved_, {})) {}

StagedMemory& StagedMemory::operator=(StagedMemory&& other) noexcept {
  std::swap(areas_, other.areas_);
  std::swap(ranges_, other.ranges_);
  std::swap(reserved_, other.reserved_);
  return *this;
}

StagedMemory::~StagedMemory() {
  for (const Area& area : areas_) munmap(area.start, area.bytes);
}

Result<std::byte*> StagedMemory::TakeRoom(uint64_t bytes) {
  if (bytes > reserved_.bytes) {
    void* start =
        mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return FailErrno("cannot get " + FormatBytes(bytes) + " to copy memory into");
    // Huge pages: one fault for 512 pages, where each fault is paid for while the job stands still.
    madvise(start, bytes, MADV_HUGEPAGE);
    reserved_ = areas_.emplace_back(Area{static_cast<std::byte*>(start), bytes});
  }
  std::byte* const taken = reserved_.start;
  reserved_.start += bytes;
  reserved_.bytes -= bytes;
  return taken;
}

void StagedMemory::Reserve(uint64_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14
  const Result<std::byte*> room = TakeRoom(bytes);
  if (!room) return;
  madvise(*room, bytes, kPopulateWrite);
  reserved_ = {*room, bytes};
}

Result<void> StagedMemory::Copy(const std::vector<Wanted>& wanted, const Reader& reader) {
  return CopyScattered(wanted, [&reader](std::span<const RemotePiece> pieces) -> Result<void> {
    for (const RemotePiece& piece : pieces) TRY(reader(piece.address, piece.to));
    return {};
  });
}

Result<void> StagedMemory::CopyScattered(const std::vector<Wanted>& wanted, const ScatteredReader& reader) {
  uint64_t total = 0;
  for (const Wanted& range : wanted) total += range.bytes;
  if (total == 0) return {};
  std::byte* to = TRY(TakeRoom(total));

  constexpr uint64_t kPieceBytes = 4 * kMiB;
  std::vector<RemotePiece> pieces;
  for (const Wanted& range : wanted) {
    ranges_.push_back({range.address, {to, range.bytes}, range.huge});
    for (uint64_t done = 0; done < range.bytes; done += kPieceBytes) {
      pieces.push_back({range.address + done, {to + done, std::min(kPieceBytes, range.bytes - done)}});
    }
    to += range.bytes;
  }
  constexpr uint64_t kBytesPerThreadMin = 8 * kMiB;  // below this a thread costs more than it brings
  const auto threads =
      static_cast<unsigned>(std::clamp<uint64_t>(total / kBytesPerThreadMin, 1, CoreCount()));
  const std::vector<std::span<const RemotePiece>> batches = InBatches(pieces, kPieceBytes);
  return ParallelFor(
      batches.size(), [&](size_t i) { return reader(batches[i]); }, threads);
}

}  // namespace holdfast
