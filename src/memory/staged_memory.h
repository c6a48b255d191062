// Memory copied while the job stands still, waiting in ours until it is stored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/remote_memory.h"

namespace holdfast {

struct StagedRange {
  uint64_t address = 0;  // where it was
  std::span<const std::byte> bytes;
  bool huge = false;
};

class StagedMemory {
 public:
  StagedMemory() = default;
  StagedMemory(StagedMemory&& other) noexcept;
  StagedMemory& operator=(StagedMemory&& other) noexcept;
  ~StagedMemory();

  struct Wanted {
    uint64_t address = 0;
    uint64_t bytes = 0;
    bool huge = false;
  };
  using Reader = std::function<Result<void>(uint64_t address, std::span<std::byte> out)>;

  // Has room ready, so that the next Copy does not wait for fresh pages. What does not fit waits as ever.
  void Reserve(uint64_t bytes);

  // Copies all of `wanted` by `reader`, which must be thread-safe, from all cores.
  Result<void> Copy(const std::vector<Wanted>& wanted, const Reader& reader);

  // The same, where many pieces at a time can be read quicker than one by one.
  using ScatteredReader = std::function<Result<void>(std::span<const RemotePiece> pieces)>;
  Result<void> CopyScattered(const std::vector<Wanted>& wanted, const ScatteredReader& reader);

  const std::vector<StagedRange>& ranges() const { return ranges_; }

 private:
  struct Area {
    std::byte* start = nullptr;
    size_t bytes = 0;
  };
  Result<std::byte*> TakeRoom(uint64_t bytes);

  std::vector<Area> areas_;
  std::vector<StagedRange> ranges_;
  Area reserved_;  // the unused rest of the last area
};

}  // namespace holdfast
