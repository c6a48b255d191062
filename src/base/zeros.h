// Content that need not be kept.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace holdfast {

inline bool IsAllZeros(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace holdfast
