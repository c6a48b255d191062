// zstd with one context per thread: making one costs more than compressing a block.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"

namespace holdfast {

// True when every byte is zero. As fast as memcmp.
bool AllZero(std::span<const std::byte> bytes);

// The compressed form, in a buffer of the calling thread that lives until its next call; nothing when
// compression gains too little to pay for the decompression.
std::optional<std::span<const std::byte>> CompressBlock(std::span<const std::byte> raw, int level);

// Decompresses exactly one frame into exactly `out`; false when it is anything else.
[[nodiscard]] bool Decompress(std::span<const std::byte> stored, std::span<std::byte> out);

// A whole buffer of any length.
Result<std::string> CompressBuffer(std::span<const std::byte> raw, int level);
// The content size that the frame states; nothing when it states none.
std::optional<uint64_t> FrameContentBytes(std::span<const std::byte> stored);

}  // namespace holdfast
