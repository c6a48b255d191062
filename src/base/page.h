// The page size that the store's index and CRIU's images count in. x86-64 has only this one; an arm64 kernel
// with 16 or 64 KiB pages is refused by the preflight.
#pragma once

#include <cstdint>

namespace holdfast {

inline constexpr uint64_t kPageBytes = 4096;

}  // namespace holdfast
