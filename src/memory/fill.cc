#include "memory/fill.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/limits.h"
#include "base/page.h"
#include "base/parallel.h"
#include "base/units.h"
#include "linux/pidfd.h"
#include "memory/remote_memory.h"

namespace holdfast {
namespace {

constexpr uint64_t kHugeBytes = 2 * kMiB;
constexpr int kMadviseCollapse =
    25;  // MADV_COLLAPSE, Linux 6.1; process_madvise takes it for other processes

// Extents that one thread fills: those within one huge page's reach.
struct Batch {
  size_t first = 0;
  size_t count = 0;
  uint64_t huge_bytes = 0;
};

std::vector<Batch> MakeBatches(const std::vector<Extent>& extents) {
  std::vector<Batch> batches;
  for (size_t i = 0; i < extents.size(); ++i) {
    const Extent& extent = extents[i];
    if (i == 0 || extents[i - 1].address / kHugeBytes != extent.address / kHugeBytes)
      batches.push_back({i, 0, 0});
    ++batches.back().count;
    if (extent.huge) batches.back().huge_bytes += extent.pages * kPageBytes;
  }
  return batches;
}

// A page of the range is there by now; the kernel brings the others in as part of a huge page.
void Collapse(const Fd& pidfd, uint64_t address) {
  iovec range{reinterpret_cast<void*>(address), kHugeBytes};
  syscall(SYS_process_madvise, pidfd.get(), &range, 1, kMadviseCollapse, 0);
}

class Filler {
 public:
  Filler(const RemoteMemory& memory, const Fd& pidfd, const std::set<uint64_t>& skip,
         const Manifest& manifest, const BlockReader& blocks)
      : memory_(memory), pidfd_(pidfd), skip_(skip), manifest_(manifest), blocks_(blocks) {}

  Result<uint64_t> Fill(const std::vector<Extent>& extents, const Batch& batch) const {
    uint64_t bytes = 0;
    for (size_t i = batch.first; i < batch.first + batch.count; ++i) {
      TRY(FillExtent(extents[i]));
      bytes += extents[i].pages * kPageBytes;
      if (i == batch.first && batch.huge_bytes == kHugeBytes)
        Collapse(pidfd_, extents[i].address & ~(kHugeBytes - 1));
    }
    return bytes;
  }

 private:
  Result<void> FillExtent(const Extent& extent) const {
    thread_local std::vector<std::byte> buffer(limits::kBlockBytesMax);
    const size_t bytes = extent.pages * kPageBytes;
    if (extent.block == kZeroBlock) return WriteZeros(extent.address, bytes, buffer);
    const std::span<std::byte> block(buffer.data(), manifest_.blocks[extent.block].raw_bytes);
    TRY(blocks_.Read(extent.block, block));
    const size_t offset = extent.first_page * kPageBytes;
    if (offset + bytes > block.size()) return Fail(ErrorKind::kCorrupt, "an extent reaches past its block");
    return WriteAround(extent.address, block.subspan(offset, bytes));
  }

  // Zeros have no block, and so no limit to their length.
  Result<void> WriteZeros(uint64_t address, size_t bytes, std::span<std::byte> buffer) const {
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
    for (size_t done = 0; done < bytes; done += buffer.size()) {
      TRY(WriteAround(address + done, buffer.first(std::min(buffer.size(), bytes - done))));
    }
    return {};
  }

  // Writes all but the skipped pages.
  Result<void> WriteAround(uint64_t address, std::span<const std::byte> bytes) const {
    uint64_t from = address;
    const uint64_t end = address + bytes.size();
    for (auto page = skip_.lower_bound(address); page != skip_.end() && *page < end; ++page) {
      if (*page > from) TRY(memory_.Write(from, bytes.subspan(from - address, *page - from)));
      from = *page + kPageBytes;
    }
    if (from < end) TRY(memory_.Write(from, bytes.subspan(from - address)));
    return {};
  }

  const RemoteMemory& memory_;
  const Fd& pidfd_;
  const std::set<uint64_t>& skip_;
  const Manifest& manifest_;
  const BlockReader& blocks_;
};

}  // namespace

Result<void> FillMemory(pid_t pid, const AddressSpace& space, const std::set<uint64_t>& skip,
                        const Manifest& manifest, const BlockReader& blocks, std::atomic<uint64_t>& filled) {
  const RemoteMemory memory = TRY(RemoteMemory::Open(pid));
  const Fd pidfd = TRY(OpenPidfd(pid));
  const Filler filler(memory, pidfd, skip, manifest, blocks);
  const std::vector<Batch> batches = MakeBatches(space.extents);
  return ParallelFor(batches.size(), [&](size_t i) -> Result<void> {
    filled += TRY(filler.Fill(space.extents, batches[i]));
    return {};
  });
}

}  // namespace holdfast
