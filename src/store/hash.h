// XXH3, as the format uses it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

using Hash128 = std::array<uint8_t, 16>;  // canonical form: big-endian

uint64_t HashBytes64(std::span<const std::byte> bytes);
Hash128 HashBytes128(std::span<const std::byte> bytes);

}  // namespace holdfast
