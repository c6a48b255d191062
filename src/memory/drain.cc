#include "memory/drain.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/limits.h"
#include "base/page.h"
#include "base/parallel.h"
#include "base/units.h"
#include "memory/remote_memory.h"

namespace holdfast {
namespace {

constexpr uint64_t kChunkBytes = 2 * kMiB;  // what a thread takes at a time
constexpr uint64_t kReleaseBytes =
    16 * kMiB;  // what is given back at a time: more means fewer stops, more memory

struct Chunk {
  uint64_t address;
  uint64_t bytes;
  bool huge;
  bool keep_zeros;
};

std::vector<Chunk> Split(const std::vector<PageRun>& runs) {
  std::vector<Chunk> chunks;
  for (const PageRun& run : runs) {
    const uint64_t end = run.address + run.bytes;
    for (uint64_t at = run.address; at < end;) {
      const uint64_t next = std::min(end, (at / kChunkBytes + 1) * kChunkBytes);
      chunks.push_back({at, next - at, run.huge, run.over_file});
      at = next;
    }
  }
  return chunks;
}

// Stores one stretch of memory in blocks that begin at multiples of their size, so that the same memory in
// another snapshot falls into the same blocks.
Result<void> StoreStretch(uint64_t address, std::span<const std::byte> bytes, bool huge, bool keep_zeros,
                          PendingSnapshot& pending, std::vector<Extent>& extents,
                          uint64_t block_bytes = limits::kBlockBytesMax) {
  size_t done = 0;
  while (done < bytes.size()) {
    const uint64_t at = address + done;
    const uint64_t to_boundary = block_bytes - at % block_bytes;
    const size_t length = std::min<uint64_t>(bytes.size() - done, to_boundary);
    const uint32_t block = TRY(pending.AppendBlock(bytes.subspan(done, length)));
    if (block != kZeroBlock || keep_zeros) {
      extents.push_back({at, static_cast<uint32_t>(length / kPageBytes), block, 0, huge});
    }
    done += length;
  }
  return {};
}

std::vector<Extent> Join(const std::vector<std::vector<Extent>>& parts) {
  std::vector<Extent> extents;
  for (const std::vector<Extent>& part : parts) extents.insert(extents.end(), part.begin(), part.end());
  return extents;
}

// The job has the first claim to the CPUs: a thread that competes with us for one gets about three times as
// much of it. Not more: as long as the drain goes on, the job pays for copies on write.
void StepBack() {
  constexpr int kNice = 5;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
}

// Counts chunks done and knows up to which all are.
class Frontier {
 public:
  explicit Frontier(size_t count) : done_(count, false) {}

  void MarkDone(size_t index) {
    const std::lock_guard lock(mutex_);
    done_[index] = true;
    while (frontier_ < done_.size() && done_[frontier_]) ++frontier_;
    changed_.notify_one();
  }
  void Finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_one();
  }
  // Waits until the frontier is past `seen`, or the work is over. False: over.
  bool WaitPast(size_t seen, size_t* frontier) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return frontier_ > seen || finished_; });
    *frontier = frontier_;
    return !finished_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> done_;
  size_t frontier_ = 0;
  bool finished_ = false;
};

// Gives stored memory back to the job while the rest is still being stored.
void ReleaseBehind(const std::vector<Chunk>& chunks, Frontier& frontier, MemoryTwin& twin) {
  size_t released = 0;
  size_t reached = 0;
  while (frontier.WaitPast(reached, &reached)) {
    const uint64_t start = chunks[released].address;
    const uint64_t end = chunks[reached - 1].address + chunks[reached - 1].bytes;
    if (end - start < kReleaseBytes) continue;
    twin.Release(start, end);
    released = reached;
    if (released == chunks.size()) break;
  }
}

}  // namespace

bool IsCaptured(const Mapping& mapping) {
  return !mapping.shared && mapping.name != "[vdso]" && !mapping.name.starts_with("[vvar") &&
         mapping.name != "[vsyscall]" && mapping.name != "[uprobes]";
}

bool IsAnonymous(const Mapping& mapping) {
  return IsCaptured(mapping) && mapping.inode == 0;
}

Result<std::vector<PageRun>> FindPages(pid_t pid, const std::vector<Mapping>& mappings) {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid));
  std::vector<PageRun> runs;
  for (const Mapping& mapping : mappings) {
    if (!IsCaptured(mapping)) continue;
    for (const PageRegion& region : TRY(scanner.PrivatePages(mapping.start, mapping.end))) {
      runs.push_back(
          {region.start, region.bytes(), (region.categories & kPageHuge) != 0, mapping.inode != 0});
    }
  }
  return runs;
}

Result<std::vector<Extent>> DrainProcess(pid_t pid, const std::vector<PageRun>& runs,
                                         PendingSnapshot& pending, MemoryTwin* twin,
                                         const std::function<void(uint64_t)>& advanced,
                                         const Progress* progress) {
  const RemoteMemory memory = TRY(RemoteMemory::Open(pid));
  const std::vector<Chunk> chunks = Split(runs);
  std::vector<std::vector<Extent>> parts(chunks.size());
  Frontier frontier(chunks.size());
  Result<void> result;
  {
    // Giving back is done by this thread: only the twin's tracer can.
    std::jthread storing([&] {
      result = ParallelFor(chunks.size(), [&](size_t i) -> Result<void> {
        thread_local std::vector<std::byte> buffer(kChunkBytes);
        StepBack();
        if (progress != nullptr && progress->Cancelled()) return Fail(ErrorKind::kInterrupted, "interrupted");
        const Chunk& chunk = chunks[i];
        const std::span<std::byte> bytes(buffer.data(), chunk.bytes);
        TRY(memory.Read(chunk.address, bytes));
        TRY(StoreStretch(chunk.address, bytes, chunk.huge, chunk.keep_zeros, pending, parts[i]));
        advanced(chunk.bytes);
        frontier.MarkDone(i);
        return {};
      });
      frontier.Finish();
    });
    if (twin != nullptr && !chunks.empty()) ReleaseBehind(chunks, frontier, *twin);
  }
  if (!result) return std::move(result).error();
  return Join(parts);
}

Result<std::vector<Extent>> DrainRunning(pid_t pid, const std::vector<PageRun>& runs,
                                         PendingSnapshot& pending,
                                         const std::function<void(uint64_t)>& advanced,
                                         const Progress* progress) {
  const RemoteMemory memory = TRY(RemoteMemory::Open(pid));
  const std::vector<Chunk> chunks = Split(runs);
  std::vector<std::vector<Extent>> parts(chunks.size());
  TRY(ParallelFor(chunks.size(), [&](size_t i) -> Result<void> {
    thread_local std::vector<std::byte> buffer(kChunkBytes);
    StepBack();
    if (progress != nullptr && progress->Cancelled()) return Fail(ErrorKind::kInterrupted, "interrupted");
    const Chunk& chunk = chunks[i];
    const std::span<std::byte> bytes(buffer.data(), chunk.bytes);
    const bool whole = memory.Read(chunk.address, bytes).has_value();
    const uint64_t step = whole ? chunk.bytes : kPageBytes;
    for (uint64_t done = 0; done < chunk.bytes; done += step) {
      const std::span<std::byte> part = bytes.subspan(done, step);
      if (!whole && !memory.Read(chunk.address + done, part)) continue;
      TRY(StoreStretch(chunk.address + done, part, chunk.huge, chunk.keep_zeros, pending, parts[i]));
    }
    advanced(chunk.bytes);
    return {};
  }));
  return Join(parts);
}

Result<std::vector<Extent>> DrainStaged(const StagedMemory& staged, PendingSnapshot& pending,
                                        const std::function<bool(uint64_t address)>& keep_zeros,
                                        uint64_t block_bytes) {
  std::vector<StagedRange> pieces;
  for (const StagedRange& range : staged.ranges()) {
    for (size_t done = 0; done < range.bytes.size();) {
      const uint64_t to_boundary = kChunkBytes - (range.address + done) % kChunkBytes;
      const size_t length = std::min<uint64_t>(range.bytes.size() - done, to_boundary);
      pieces.push_back({range.address + done, range.bytes.subspan(done, length), range.huge});
      done += length;
    }
  }
  std::vector<std::vector<Extent>> parts(pieces.size());
  TRY(ParallelFor(pieces.size(), [&](size_t i) {
    const StagedRange& piece = pieces[i];
    return StoreStretch(piece.address, piece.bytes, piece.huge, keep_zeros(piece.address), pending, parts[i],
                        block_bytes);
  }));
  return Join(parts);
}

void SortExtents(std::vector<Extent>& extents) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.address < b.address; });
}

}  // namespace holdfast
