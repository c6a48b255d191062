#include "files/kept_bytes.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/units.h"

namespace holdfast {

namespace {

constexpr uint64_t kArenaBytes = 16 * kMiB;
constexpr uint64_t kPreparedBytesMax = 64 * kMiB;

}  // namespace

void KeptBytes::Prepare(uint64_t bytes) {
  if (bytes > 0) AddArena(std::min(bytes, kPreparedBytesMax), true);
}

bool KeptBytes::AddArena(uint64_t bytes, bool touch) {
  constexpr uint64_t kHugePage = 2 * kMiB;
  bytes = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  if (touch) ::madvise(memory, bytes, MADV_POPULATE_WRITE);  // merely faster; Linux 5.14
  arenas_.push_back({static_cast<std::byte*>(memory), bytes, 0});
  return true;
}

const std::byte* KeptBytes::Keep(std::span<const std::byte> bytes) {
  std::byte* place = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (bytes.size() > bytes_max_ - std::min(bytes_max_, bytes_kept_)) return nullptr;
    if (arenas_.empty() || arenas_.back().bytes - arenas_.back().used < bytes.size()) {
      if (!AddArena(std::max<uint64_t>(kArenaBytes, bytes.size()), false)) return nullptr;
    }
    Arena& arena = arenas_.back();
    place = arena.memory + arena.used;
    arena.used += bytes.size();
    bytes_kept_ += bytes.size();
  }
  std::memcpy(place, bytes.data(), bytes.size());
  return place;
}

void KeptBytes::Clear() {
  for (const Arena& arena : arenas_) ::munmap(arena.memory, arena.bytes);
  arenas_.clear();
  bytes_kept_ = 0;
}

}  // namespace holdfast
