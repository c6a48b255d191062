#include "memory/fill.h"

#include <fmt/format.h>
#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/page.h"
#include "base/parallel.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "memory/drain.h"
#include "memory/extent_reader.h"
#include "memory/huge_pages.h"
#include "memory/remote_memory.h"

namespace holdfast {
namespace {

// Extents that one thread fills: those within one huge page's reach.
struct Batch {
  size_t first = 0;
  size_t count = 0;
  uint64_t huge_bytes = 0;

  bool is_huge() const { return huge_bytes == kHugeBytes; }
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

class Filler {
 public:
  Filler(const RemoteMemory& memory, const Fd& pidfd, const std::set<uint64_t>& skip,
         const Manifest& manifest, const BlockReader& blocks, const MissingPages* missing)
      : memory_(memory),
        pidfd_(pidfd),
        skip_(skip),
        manifest_(manifest),
        blocks_(blocks),
        missing_(missing) {}

  Result<uint64_t> Fill(const std::vector<Extent>& extents, const Batch& batch) const {
    uint64_t bytes = 0;
    ExtentReader reader(manifest_, blocks_);
    for (size_t i = batch.first; i < batch.first + batch.count; ++i) {
      TRY(FillExtent(extents[i], reader));
      bytes += extents[i].pages * kPageBytes;
      // A page of the range is there by now; the kernel brings the others in as part of a huge page.
      if (i == batch.first && batch.is_huge())
        CollapseHugePage(pidfd_, extents[i].address & ~(kHugeBytes - 1));
    }
    return bytes;
  }

 private:
  Result<void> FillExtent(const Extent& extent, ExtentReader& reader) const {
    if (extent.block == kZeroBlock) return GiveZeros(extent.address, extent.pages * kPageBytes);
    return GiveAround(extent.address, TRY(reader.Read(extent)));
  }

  Result<void> GiveZeros(uint64_t address, uint64_t bytes) const {
    static const std::vector<std::byte> zeros(limits::kBlockBytesMax);
    for (uint64_t done = 0; done < bytes; done += zeros.size()) {
      const size_t length = std::min<uint64_t>(zeros.size(), bytes - done);
      TRY(GiveAround(address + done, std::span(zeros).first(length)));
    }
    return {};
  }

  // All but the skipped pages.
  Result<void> GiveAround(uint64_t address, std::span<const std::byte> bytes) const {
    uint64_t from = address;
    const uint64_t end = address + bytes.size();
    for (auto page = skip_.lower_bound(address); page != skip_.end() && *page < end; ++page) {
      if (*page > from) TRY(Give(from, bytes.subspan(from - address, *page - from)));
      from = *page + kPageBytes;
    }
    if (from < end) TRY(Give(from, bytes.subspan(from - address)));
    return {};
  }

  Result<void> Give(uint64_t address, std::span<const std::byte> bytes) const {
    if (missing_ == nullptr) return memory_.Write(address, bytes);
    bool one_by_one = false;  // they lie in several mappings
    while (!bytes.empty()) {
      const MissingPages::Given given = missing_->Copy(address, one_by_one ? bytes.first(kPageBytes) : bytes);
      address += given.bytes;
      bytes = bytes.subspan(given.bytes);
      if (given.error == 0) continue;
      const bool elsewhere = given.error == ENOENT || given.error == EINVAL;
      if (given.error == ESRCH) {
        return Fail(ErrorKind::kIo, "the job was killed while its memory was brought back")
            .WithHint("the kernel does that where a cgroup allows less memory than the job has: see `dmesg`");
      }
      if (given.error != EEXIST && !elsewhere) {
        return FailErrno(given.error, fmt::format("cannot give a process its page at {:x}", address));
      }
      if (elsewhere && !std::exchange(one_by_one, true)) continue;
      // There already, or not registered. Any other page must not be written to: that would wait for us.
      TRY(memory_.Write(address, bytes.first(kPageBytes)));
      address += kPageBytes;
      bytes = bytes.subspan(kPageBytes);
    }
    return {};
  }

  const RemoteMemory& memory_;
  const Fd& pidfd_;
  const std::set<uint64_t>& skip_;
  const Manifest& manifest_;
  const BlockReader& blocks_;
  const MissingPages* missing_;
};

}  // namespace

Result<void> FillMemory(pid_t pid, const AddressSpace& space, const std::set<uint64_t>& skip,
                        const Manifest& manifest, const BlockReader& blocks, const MissingPages* missing,
                        std::atomic<uint64_t>& filled) {
  const RemoteMemory memory = TRY(RemoteMemory::Open(pid));
  const Fd pidfd = TRY(OpenPidfd(pid));
  const auto fill = [&](const std::vector<Batch>& batches, const MissingPages* by) {
    const Filler filler(memory, pidfd, skip, manifest, blocks, by);
    return ParallelFor(batches.size(), [&](size_t i) -> Result<void> {
      filled += TRY(filler.Fill(space.extents, batches[i]));
      return {};
    });
  };
  std::vector<Batch> small = MakeBatches(space.extents);
  const auto first_huge =
      std::stable_partition(small.begin(), small.end(), [](const Batch& batch) { return !batch.is_huge(); });
  const std::vector<Batch> huge(first_huge, small.end());
  small.erase(first_huge, small.end());
  // First: a registered place is not made one huge page as long as any of it is missing.
  TRY(fill(huge, nullptr));
  if (missing != nullptr) {
    for (const Mapping& mapping : TRY(ReadMaps(pid))) {
      if (IsAnonymous(mapping)) missing->Register(mapping.start, mapping.end);
    }
  }
  return fill(small, missing);
}

}  // namespace holdfast
