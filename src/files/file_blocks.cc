#include "files/file_blocks.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace holdfast {

namespace {

constexpr uint64_t kBlocksPerRange = 64;  // 8 MiB

// Where data is, asked of the file system as far as needed. A file system that knows no holes has data
// everywhere.
class DataMap {
 public:
  DataMap(int fd, uint64_t file_bytes) : fd_(fd), file_bytes_(file_bytes) {}

  // Requires: called with increasing offsets.
  bool HasData(uint64_t start, uint64_t end) {
    if (start >= data_end_) Advance(start);
    return data_start_ < end;
  }

 private:
  void Advance(uint64_t from) {
    const off_t data = ::lseek(fd_, static_cast<off_t>(from), SEEK_DATA);
    if (data < 0) {
      const bool only_hole_left = errno == ENXIO;
      data_start_ = only_hole_left ? file_bytes_ : from;
      data_end_ = UINT64_MAX;
      return;
    }
    const off_t hole = ::lseek(fd_, data, SEEK_HOLE);
    data_start_ = static_cast<uint64_t>(data);
    data_end_ = hole < 0 ? UINT64_MAX : static_cast<uint64_t>(hole);
  }

  int fd_;
  uint64_t file_bytes_;
  uint64_t data_start_ = 0;
  uint64_t data_end_ = 0;
};

ReadEnd ReadAt(int fd, uint64_t offset, std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ReadEnd::kUnreadable;
    if (got == 0) return ReadEnd::kShort;
    done += static_cast<size_t>(got);
  }
  return ReadEnd::kWhole;
}

}  // namespace

uint32_t FileBlockBytes(uint64_t file_bytes, uint64_t number) {
  return static_cast<uint32_t>(std::min(kFileBlockBytes, file_bytes - number * kFileBlockBytes));
}

void AppendBlockRanges(size_t file, uint64_t file_bytes, std::vector<BlockRange>& ranges) {
  const uint64_t blocks = FileBlockCount(file_bytes);
  for (uint64_t first = 0; first < blocks; first += kBlocksPerRange) {
    ranges.push_back({file, first, std::min(kBlocksPerRange, blocks - first)});
  }
}

Result<ReadEnd> ReadFileBlocks(int fd, uint64_t file_bytes, const BlockRange& range,
                               const BlockVisitor& visit) {
  // One buffer a thread, kept: fresh pages cost more than what is read into them.
  thread_local const auto buffer = std::make_unique<std::byte[]>(kFileBlockBytes);
  DataMap data(fd, file_bytes);
  for (uint64_t number = range.first; number < range.first + range.count; ++number) {
    const uint64_t offset = number * kFileBlockBytes;
    const uint32_t bytes = FileBlockBytes(file_bytes, number);
    if (!data.HasData(offset, offset + bytes)) {
      TRY(visit(number, {}));
      continue;
    }
    const std::span<std::byte> block(buffer.get(), bytes);
    const ReadEnd end = ReadAt(fd, offset, block);
    if (end != ReadEnd::kWhole) return end;
    TRY(visit(number, block));
  }
  return ReadEnd::kWhole;
}

}  // namespace holdfast
