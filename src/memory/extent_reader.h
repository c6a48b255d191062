// The stored content of extents. One for each thread: the block that was read last stays at hand, as extents
// that lie side by side often share one.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

class ExtentReader {
 public:
  // Both outlive it.
  ExtentReader(const Manifest& manifest, const BlockReader& blocks) : manifest_(manifest), blocks_(blocks) {}

  // Valid until the next call. Requires: the extent has a block (zeros have none, and no limit to their
  // length).
  Result<std::span<const std::byte>> Read(const Extent& extent);

 private:
  const Manifest& manifest_;
  const BlockReader& blocks_;
  uint32_t block_ = kZeroBlock;
  std::vector<std::byte> buffer_;
};

}  // namespace holdfast
