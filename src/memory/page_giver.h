// Puts stored pages where they are missing, as long as nothing changes there.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "linux/missing_pages.h"
#include "memory/change_gate.h"
#include "memory/extent_reader.h"
#include "memory/fill_state.h"
#include "memory/page_server.h"

namespace holdfast {

enum class Outcome {
  kGiven,  // it is not missing any more, or is so no longer where it was
  kAgain,  // not now: the job is changing its memory, or has none left
  kGone,   // the address space is
};

// Thread-safe. Holds the gate, shared, while pages are put: whoever holds it alone knows that what is missing
// and what the kernel has agree but for changes that he has not read yet, during which the kernel takes no
// page.
class PageGiver {
 public:
  explicit PageGiver(ChangeGate& gate) : gate_(gate) {}

  // What belongs to a page that somebody waits for, zeros where nothing is missing, and what is stored beside
  // it.
  Result<Outcome> Answer(FilledSpace& space, uint64_t page, ExtentReader& reader);
  // All that is missing in [start, end).
  Result<Outcome> Fill(FilledSpace& space, uint64_t start, uint64_t end, ExtentReader& reader);

  // The first that is missing at `address` or after it.
  std::optional<MissingRange> FirstFrom(const FilledSpace& space, uint64_t address);
  bool IsFilled(const FilledSpace& space);
  // Guards every FilledSpace::missing. Taken after the gate.
  std::mutex& mutex() { return mutex_; }

  // In order; a limited number.
  std::vector<Touch> touched();

 private:
  struct Piece {
    const Extent* extent = nullptr;
    uint64_t start = 0;  // where it is now
    uint64_t end = 0;
  };
  static Result<Piece> PieceOf(const FilledSpace& space, const MissingRange& range);
  Outcome GiveZeros(const FilledSpace& space, uint64_t page);
  Result<Outcome> GiveWithin(FilledSpace& space, const Piece& piece, uint64_t start, uint64_t end,
                             std::span<const std::byte> content);
  Result<Outcome> GiveRange(FilledSpace& space, uint64_t address, std::span<const std::byte> bytes,
                            MissingPages::Writes writes);
  void Touched(int32_t pid, uint64_t address);

  ChangeGate& gate_;
  std::mutex mutex_;
  std::vector<Touch> touched_;
};

}  // namespace holdfast
