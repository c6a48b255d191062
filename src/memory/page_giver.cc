#include "memory/page_giver.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <shared_mutex>
#include <thread>
#include <utility>

#include "base/limits.h"
#include "base/page.h"
#include "linux/missing_pages.h"
#include "memory/thread_priority.h"

namespace holdfast {
namespace {

constexpr int kTriesMax = 100;  // before other places have their turn

}  // namespace

std::optional<MissingRange> PageGiver::FirstFrom(const FilledSpace& space, uint64_t address) {
  const std::lock_guard lock(mutex_);
  return space.missing.FirstFrom(address);
}

bool PageGiver::IsFilled(const FilledSpace& space) {
  const std::lock_guard lock(mutex_);
  return space.missing.empty();
}

std::vector<Touch> PageGiver::touched() {
  const std::lock_guard lock(mutex_);
  return touched_;
}

void PageGiver::Touched(int32_t pid, uint64_t address) {
  const std::lock_guard lock(mutex_);
  if (touched_.size() < limits::kTouchesKeptMax) touched_.push_back({pid, address});
}

Result<PageGiver::Piece> PageGiver::PieceOf(const FilledSpace& space, const MissingRange& range) {
  const std::vector<Extent>& extents = space.stored->extents;
  auto after =
      std::upper_bound(extents.begin(), extents.end(), range.stored,
                       [](uint64_t address, const Extent& extent) { return address < extent.address; });
  if (after != extents.begin()) {
    const Extent& extent = *std::prev(after);
    const uint64_t bytes = extent.pages * kPageBytes;
    if (range.stored < extent.address + bytes) {
      const uint64_t start = range.start - (range.stored - extent.address);
      return Piece{&extent, start, start + bytes};
    }
  }
  return Fail(ErrorKind::kInternal, fmt::format("nothing is stored of a missing page at {:x}", range.stored));
}

Result<Outcome> PageGiver::Answer(FilledSpace& space, uint64_t page, ExtentReader& reader) {
  bool first = true;
  for (;;) {
    std::optional<MissingRange> here;
    {
      const std::shared_lock gate(gate_);
      if (space.gone) return Outcome::kGone;
      here = FirstFrom(space, page);
      // It was not missing any more, or is not now: then what is there stays, and who waits is woken.
      if (!here || here->start > page) return GiveZeros(space, page);
    }
    const Piece piece = TRY(PieceOf(space, *here));
    const std::span<const std::byte> content = TRY(reader.Read(*piece.extent));
    Outcome outcome = TRY(GiveWithin(space, piece, page, page + kPageBytes, content));
    // What was moved to the lowest addresses may begin, as a piece, before them.
    const uint64_t start = piece.start <= page ? piece.start : page;
    if (outcome == Outcome::kGiven) outcome = TRY(GiveWithin(space, piece, start, piece.end, content));
    if (outcome != Outcome::kGiven) return outcome;
    if (std::exchange(first, false)) Touched(space.stored->pid, here->stored);
  }
}

Result<Outcome> PageGiver::Fill(FilledSpace& space, uint64_t start, uint64_t end, ExtentReader& reader) {
  for (uint64_t at = start; at < end;) {
    const std::optional<MissingRange> next = FirstFrom(space, at);
    if (!next || next->start >= end) break;
    const Piece piece = TRY(PieceOf(space, *next));
    const std::span<const std::byte> content = TRY(reader.Read(*piece.extent));
    const InFront while_holding_the_gate;
    const uint64_t to = std::min(next->end, piece.end);
    Outcome outcome = TRY(GiveWithin(space, piece, next->start, to, content));
    // A job that changes its memory all the time leaves gaps in between.
    for (int tries = 0; outcome == Outcome::kAgain && tries < kTriesMax; ++tries) {
      std::this_thread::yield();
      outcome = TRY(GiveWithin(space, piece, next->start, to, content));
    }
    if (outcome != Outcome::kGiven) return outcome;
    at = to;
  }
  return Outcome::kGiven;
}

// Requires: the gate is held.
Outcome PageGiver::GiveZeros(const FilledSpace& space, uint64_t page) {
  const MissingPages pages(space.userfaultfd);
  switch (pages.GiveZeros(page)) {
    case 0:
      return Outcome::kGiven;
    case EAGAIN:
    case ENOMEM:
      return Outcome::kAgain;
    case ESRCH:
      return Outcome::kGone;
    case EEXIST:
      break;
    default:  // no place of ours; or one that is on its way to another
      if (pages.IsChanging()) return Outcome::kAgain;
  }
  pages.Wake(page, page + kPageBytes);
  return Outcome::kGiven;
}

// What is missing in [start, end) of the piece, where it is still the piece that belongs there.
Result<Outcome> PageGiver::GiveWithin(FilledSpace& space, const Piece& piece, uint64_t start, uint64_t end,
                                      std::span<const std::byte> content) {
  const std::shared_lock gate(gate_);
  if (space.gone) return Outcome::kGone;
  std::vector<MissingRange> missing;
  {
    const std::lock_guard lock(mutex_);
    missing = space.missing.Within(start, end);
  }
  for (const MissingRange& range : missing) {
    const uint64_t offset = range.start - piece.start;
    if (range.stored != piece.extent->address + offset) continue;
    // A huge page is not made of pages that are protected.
    const bool marked = space.tracking >= 0 && !piece.extent->huge && range.stored == range.start;
    const Outcome outcome =
        TRY(GiveRange(space, range.start, content.subspan(offset, range.bytes()),
                      marked ? MissingPages::Writes::kMarked : MissingPages::Writes::kNotMarked));
    if (outcome != Outcome::kGiven) return outcome;
  }
  return Outcome::kGiven;
}

Result<Outcome> PageGiver::GiveRange(FilledSpace& space, uint64_t address, std::span<const std::byte> bytes,
                                     MissingPages::Writes writes) {
  const MissingPages pages(space.userfaultfd);
  const auto done = [&](uint64_t length) {
    const std::lock_guard lock(mutex_);
    space.missing.Take(address, address + length);
    address += length;
    bytes = bytes.subspan(length);
  };
  bool one_by_one = false;  // they lie in several mappings
  while (!bytes.empty()) {
    const MissingPages::Given given =
        pages.Copy(address, one_by_one ? bytes.first(kPageBytes) : bytes, writes);
    if (given.bytes > 0) done(given.bytes);
    switch (given.error) {
      case 0:
        break;
      case EEXIST:  // a predecessor gave it, or another thread just now
        done(kPageBytes);
        break;
      case EAGAIN:
      case ENOMEM:
        return Outcome::kAgain;
      case ESRCH:
        return Outcome::kGone;
      case ENOENT:
        if (!std::exchange(one_by_one, true)) break;
        // Moved or unmapped, of which we have not read yet; or there is nothing any more that was registered.
        if (pages.IsChanging()) return Outcome::kAgain;
        done(kPageBytes);
        break;
      default:
        return FailErrno(given.error, fmt::format("cannot give a process its page at {:x}", address));
    }
  }
  return Outcome::kGiven;
}

}  // namespace holdfast
