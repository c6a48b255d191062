// Reading a file in the blocks that the store keeps it in, without reading its holes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace holdfast {

inline constexpr uint64_t kFileBlockBytes = limits::kBlockBytesMax;

inline uint64_t FileBlockCount(uint64_t file_bytes) {
  return file_bytes / kFileBlockBytes + (file_bytes % kFileBlockBytes == 0 ? 0 : 1);
}
// Of block `number` of a file of `file_bytes` bytes.
uint32_t FileBlockBytes(uint64_t file_bytes, uint64_t number);

// A piece of work for one thread: so many blocks of one file.
struct BlockRange {
  size_t file = 0;  // index in a list of the caller's
  uint64_t first = 0;
  uint64_t count = 0;
};
// Cuts the blocks of a file of `file_bytes` bytes into ranges of some MiB.
void AppendBlockRanges(size_t file, uint64_t file_bytes, std::vector<BlockRange>& ranges);

// `bytes` is valid during the call; empty for a block that is wholly in a hole.
using BlockVisitor = std::function<Result<void>(uint64_t number, std::span<const std::byte> bytes)>;

// How reading a range ended, when nothing in the visitor failed.
enum class ReadEnd {
  kWhole,
  kShort,       // the file ends before `file_bytes`
  kUnreadable,  // errno says why
};

// Visits the blocks of `range` in order, whole ones only. Several threads may share the descriptor. Errors
// are the visitor's.
Result<ReadEnd> ReadFileBlocks(int fd, uint64_t file_bytes, const BlockRange& range,
                               const BlockVisitor& visit);

}  // namespace holdfast
