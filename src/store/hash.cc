#include "store/hash.h"

#include <xxhash.h>

#include <cstring>

namespace holdfast {

uint64_t HashBytes64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Hash128 HashBytes128(std::span<const std::byte> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Hash128 hash{};
  static_assert(sizeof(canonical.digest) == sizeof(hash));
  std::memcpy(hash.data(), canonical.digest, sizeof(hash));
  return hash;
}

}  // namespace holdfast
