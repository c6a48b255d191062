// Memory for what CaptureFrozen keeps: touched before the freeze as far as can be foreseen, because a fresh
// page costs several microseconds while the job stands still.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace holdfast {

class KeptBytes {
 public:
  KeptBytes() = default;
  KeptBytes(const KeptBytes&) = delete;
  KeptBytes& operator=(const KeptBytes&) = delete;
  ~KeptBytes() { Clear(); }

  // Makes room for `bytes` beforehand, within reason.
  void Prepare(uint64_t bytes);
  // No more than this is kept from now on.
  void SetLimit(uint64_t bytes_max) { bytes_max_ = bytes_max; }
  // A copy that lives until Clear; nullptr when the limit is reached or there is no memory. Thread-safe.
  const std::byte* Keep(std::span<const std::byte> bytes);
  void Clear();

  uint64_t bytes_kept() const { return bytes_kept_; }

 private:
  bool AddArena(uint64_t bytes, bool touch);

  struct Arena {
    std::byte* memory = nullptr;
    uint64_t bytes = 0;
    uint64_t used = 0;
  };
  std::mutex mutex_;
  std::vector<Arena> arenas_;  // the last one is being filled
  uint64_t bytes_kept_ = 0;
  uint64_t bytes_max_ = UINT64_MAX;
};

}  // namespace holdfast
