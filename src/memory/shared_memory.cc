#include "memory/shared_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "base/page.h"
#include "base/parallel.h"
#include "base/units.h"
#include "base/zeros.h"
#include "linux/run_apart.h"
#include "linux/stopped_process.h"
#include "memory/known_pages.h"
#include "memory/write_tracking.h"

namespace holdfast {
namespace {

// Less than this is copied in the freeze before a stop for tracking it would be over.
constexpr uint64_t kTrackedBytesMin = 32 * kMiB;
constexpr uint64_t kPreCopiedBytesMin = 4 * kMiB;
// What has changed in an object that is not tracked from snapshot to snapshot is told, and stored, by blocks
// of this size: smaller ones follow the changes more closely, and compress less.
constexpr uint64_t kBlockBytes = 32 * kKiB;
constexpr int kRoundsMax = 3;
constexpr uint64_t kRoomBytesMin = 8 * kMiB;
constexpr uint64_t kRoomBytesMax = 256 * kMiB;

// Page tables that protecting every place makes, of the object's size: 32 processes that map all of it.
constexpr uint64_t kPageTableShareMax = 16;
constexpr uint64_t kBytesPerPageTable = 512;

// In pieces that begin at multiples of a block's size, so that the same memory falls into the same blocks in
// another snapshot.
std::vector<PageRun> Pieces(const std::vector<PageRun>& runs) {
  std::vector<PageRun> pieces;
  for (const PageRun& run : runs) {
    for (uint64_t at = run.address; at < EndOf(run);) {
      const uint64_t next = std::min(EndOf(run), (at / kBlockBytes + 1) * kBlockBytes);
      pieces.push_back({at, next - at});
      at = next;
    }
  }
  return pieces;
}

// Calls work(i, buffer) for i in [0, count), some MiB at a time for each thread.
Result<void> ForEachPiece(size_t count,
                          const std::function<Result<void>(size_t, std::span<std::byte>)>& work) {
  constexpr size_t kPiecesAtATime = 64;
  constexpr size_t kPiecesPerThreadMin = 256;  // below this a thread costs more than it brings
  const size_t batches = (count + kPiecesAtATime - 1) / kPiecesAtATime;
  const auto threads = static_cast<unsigned>(std::clamp<size_t>(count / kPiecesPerThreadMin, 1, CoreCount()));
  return ParallelFor(
      batches,
      [&](size_t batch) -> Result<void> {
        thread_local const auto buffer = std::make_unique<std::byte[]>(kBlockBytes);
        const size_t end = std::min(count, (batch + 1) * kPiecesAtATime);
        for (size_t i = batch * kPiecesAtATime; i < end; ++i) {
          TRY(work(i, {buffer.get(), kBlockBytes}));
        }
        return {};
      },
      threads);
}

// How much of it changes, from a sample of its blocks. Who writes the same pages over and over has soon
// written them all: what counts is how much is added.
Result<bool> ChangesTooFast(const SharedObjectFile& file) {
  constexpr size_t kSamplesMax = 256;
  constexpr auto kFirst = std::chrono::milliseconds(10);
  constexpr auto kSecond = std::chrono::milliseconds(30);
  constexpr double kStoredBytesPerMs = 600e3;
  constexpr double kShareMax = 0.5;
  const std::vector<PageRun> pieces = Pieces(TRY(file.DataIn(0, TRY(file.Bytes()))));
  if (pieces.empty()) return false;
  const size_t samples = std::min(pieces.size(), kSamplesMax);
  std::vector<Hash128> hashes(samples);
  std::vector<bool> changed(samples, false);
  std::vector<std::byte> buffer(kBlockBytes);
  const auto look = [&](bool first) -> Result<double> {
    size_t count = 0;
    for (size_t i = 0; i < samples; ++i) {
      const PageRun& piece = pieces[i * pieces.size() / samples];
      const std::span<std::byte> bytes(buffer.data(), piece.bytes);
      TRY(file.Read(piece.address, bytes));
      const Hash128 hash = HashBytes128(bytes);
      if (first) hashes[i] = hash;
      changed[i] = changed[i] || hash != hashes[i];
      count += changed[i] ? 1 : 0;
    }
    return static_cast<double>(count) / static_cast<double>(samples);
  };
  TRY(look(true));
  std::this_thread::sleep_for(kFirst);
  const double early = TRY(look(false));
  std::this_thread::sleep_for(kSecond);
  const double late = TRY(look(false));
  double bytes = 0;
  for (const PageRun& piece : pieces) bytes += static_cast<double>(piece.bytes);
  const double per_ms = (late - early) / static_cast<double>(kSecond.count());
  return late + per_ms * (bytes / kStoredBytesPerMs) > kShareMax;
}

std::vector<SharedUse> UsesOf(const std::vector<FoundObject>& found, const std::set<uint64_t>& inodes,
                              pid_t pid) {
  std::vector<SharedUse> uses;
  for (const FoundObject& object : found) {
    if (!inodes.contains(object.inode)) continue;
    for (const SharedUse& use : object.uses) {
      if (use.pid == pid) uses.push_back(use);
    }
  }
  return uses;
}

// What the process has now of those objects.
std::vector<SharedUse> UsesNow(const std::vector<Mapping>& mappings, const std::set<uint64_t>& inodes,
                               pid_t pid) {
  std::vector<SharedUse> uses;
  for (const Mapping& mapping : mappings) {
    if (!IsSharedMemory(mapping) || !inodes.contains(mapping.inode)) continue;
    uses.push_back({pid, mapping.inode, mapping.start, mapping.end, mapping.offset});
  }
  return uses;
}

}  // namespace

SharedMemoryCapture::Object& SharedMemoryCapture::ObjectOf(const FoundObject& found) {
  Object& object = objects_[found.inode];
  object.inode = found.inode;
  object.name = found.name;
  return object;
}

// Those that are worth it.
Result<std::vector<FoundObject>> SharedMemoryCapture::OpenLarge(const std::vector<FoundObject>& found,
                                                                bool always) {
  std::vector<FoundObject> large;
  for (const FoundObject& one : found) {
    Result<SharedObjectFile> file = SharedObjectFile::Open(one);
    if (!file) continue;  // it has gone
    if (!always && TRY(file->BytesInUse()) < kPreCopiedBytesMin) continue;
    if (!always && TRY(ChangesTooFast(*file))) continue;
    ObjectOf(one).file.emplace(*std::move(file));
    large.push_back(one);
  }
  return large;
}

Result<SharedMemoryCapture::Prepared> SharedMemoryCapture::PrepareRunning(const std::vector<pid_t>& pids,
                                                                          PendingSnapshot& pending,
                                                                          bool always, Progress* progress) {
  Prepared prepared;
  const std::vector<FoundObject> found =
      TRY(OpenLarge(TRY(FindSharedObjects(pids, /*ended_too=*/true)), always));
  if (found.empty()) return prepared;
  // Where it does not succeed, content is compared.
  if (!Track(found, always, prepared)) tracking_.reset();
  for (const FoundObject& one : found) TRY(StoreRounds(objects_.at(one.inode), pending, progress, prepared));
  for (auto& [inode, object] : objects_) {
    object.staged.Reserve(std::min(object.room_bytes + kRoomBytesMin, kRoomBytesMax));
  }
  if (tracking_) prepared.confused.merge(tracking_->Confused());
  return prepared;
}

Result<void> SharedMemoryCapture::Track(const std::vector<FoundObject>& found, bool always,
                                        Prepared& prepared) {
  std::set<uint64_t> inodes;
  for (const FoundObject& one : found) {
    const uint64_t bytes = TRY(objects_.at(one.inode).file->BytesInUse());
    uint64_t mapped = 0;
    for (const SharedUse& use : one.uses) mapped += use.end - use.start;
    const bool worth_it =
        bytes >= kTrackedBytesMin && mapped / kBytesPerPageTable <= bytes / kPageTableShareMax;
    if (one.IsAnonymous() && (worth_it || always)) inodes.insert(one.inode);
  }
  if (inodes.empty()) return {};
  tracking_.emplace(TRY(SharedTracking::Begin()));
  TRY(Register(found, inodes, prepared));
  for (const uint64_t inode : TRY(tracking_->MappedElsewhere(inodes))) inodes.erase(inode);
  if (inodes.empty()) return {};
  const Result<void> protected_all = tracking_->Protect();
  prepared.confused = tracking_->Confused();
  TRY(protected_all);
  TRY(PassStop(prepared));
  for (const uint64_t inode : inodes) objects_.at(inode).tracked = true;
  return {};
}

// Of every process that maps one of them; takes those out that somebody has who cannot be tracked.
Result<void> SharedMemoryCapture::Register(const std::vector<FoundObject>& found, std::set<uint64_t>& inodes,
                                           Prepared& prepared) {
  std::set<pid_t> pids;
  for (const FoundObject& one : found) {
    for (const SharedUse& use : one.uses) {
      if (inodes.contains(one.inode)) pids.insert(use.pid);
    }
  }
  for (const pid_t pid : pids) {
    const std::vector<SharedUse> uses = UsesOf(found, inodes, pid);
    if (uses.empty()) continue;
    const Stopwatch stopped;
    const auto in_stop = [&]() -> Result<void> {
      const StoppedProcess process = TRY(StoppedProcess::Stop(pid, limits::kStopMillisecondsMax));
      const std::vector<Mapping> mappings = TRY(ReadMaps(pid));
      if (HasInvisibleWriters(mappings)) return Fail(ErrorKind::kUnsupported, "devices write to it");
      const std::vector<SharedUse> now = UsesNow(mappings, inodes, pid);
      return now.empty() ? Result<void>() : tracking_->Register(pid, process, now);
    };
    const Result<void> registered = RunApart(in_stop);
    prepared.stopped_ms += stopped.ElapsedMs();
    if (registered) {
      tracked_pids_.insert(pid);
      continue;
    }
    for (const SharedUse& use : uses) inodes.erase(use.inode);
  }
  return {};
}

// Whatever writes without leaving a mark began before the protection, and is over after this.
Result<void> SharedMemoryCapture::PassStop(Prepared& prepared) const {
  for (const pid_t pid : tracked_pids_) {
    const Stopwatch stopped;
    const Result<StoppedProcess> process = StoppedProcess::Stop(pid, limits::kStopMillisecondsMax);
    prepared.stopped_ms += stopped.ElapsedMs();
    if (!process && process.error().kind != ErrorKind::kNotFound) return Error(process.error());
  }
  return {};
}

Result<void> SharedMemoryCapture::StoreRounds(Object& object, PendingSnapshot& pending, Progress* progress,
                                              Prepared& prepared) {
  const uint64_t end = TRY(object.file->Bytes());
  std::vector<PageRun> wanted = {{0, (end + kPageBytes - 1) / kPageBytes * kPageBytes}};
  for (int round = 1;; ++round) {
    const uint64_t before = prepared.bytes;
    TRY(Store(object, wanted, pending, progress, prepared));
    const uint64_t stored = prepared.bytes - before;
    if (object.tracked) {
      const Result<uint64_t> left = tracking_->WrittenBytes(object.inode);
      if (!left) break;
      object.room_bytes = 2 * *left;
      if (round == kRoundsMax || *left <= limits::kLittleMemoryBytes || *left > stored / 2) break;
      // The marks are taken away: from here to the end all must go well, or none of it counts.
      Result<std::vector<PageRun>> written = tracking_->ProtectWritten(object.inode);
      object.tracked = written && PassStop(prepared);
      if (!object.tracked) break;
      wanted = *std::move(written);
      object.known = Without(object.known, wanted);
      continue;
    }
    const std::vector<PageRun> same = RunsOf(TRY(Unchanged(object)));
    wanted = LeftOf(TRY(object.file->DataIn(0, TRY(object.file->Bytes()))), same);
    object.room_bytes = TotalBytes(wanted);
    if (round == 2 || object.room_bytes <= limits::kLittleMemoryBytes || object.room_bytes > stored / 2)
      break;
    object.known = Within(object.known, same);
  }
  return {};
}

// What is in `runs`, as `known`. Requires: nothing in there is known.
Result<void> SharedMemoryCapture::Store(Object& object, const std::vector<PageRun>& runs,
                                        PendingSnapshot& pending, Progress* progress, Prepared& prepared) {
  std::vector<PageRun> data;
  for (const PageRun& run : runs) {
    const std::vector<PageRun> part = TRY(object.file->DataIn(run.address, EndOf(run)));
    data.insert(data.end(), part.begin(), part.end());
  }
  const std::vector<PageRun> pieces = Pieces(data);
  std::vector<Extent> extents(pieces.size());
  std::mutex mutex;
  TRY(ForEachPiece(pieces.size(), [&](size_t i, std::span<std::byte> buffer) -> Result<void> {
    if (progress != nullptr && progress->Cancelled()) return Fail(ErrorKind::kInterrupted, "interrupted");
    const PageRun& piece = pieces[i];
    const std::span<std::byte> bytes = buffer.first(piece.bytes);
    TRY(object.file->Read(piece.address, bytes));
    const uint32_t block = TRY(pending.AppendBlock(bytes));
    extents[i] = {piece.address, static_cast<uint32_t>(piece.bytes / kPageBytes), block};
    if (block == kZeroBlock) return {};
    const Hash128 hash = HashBytes128(bytes);
    const std::lock_guard lock(mutex);
    stored_[block] = {hash, piece.bytes};
    return {};
  }));
  object.known.insert(object.known.end(), extents.begin(), extents.end());
  SortExtents(object.known);
  prepared.bytes += TotalBytes(data);
  return {};
}

// Of what is known, what is as it was, by its content. A part of a block cannot be told by the block's hash.
Result<std::vector<Extent>> SharedMemoryCapture::Unchanged(const Object& object) const {
  std::vector<char> same(object.known.size(), 0);
  TRY(ForEachPiece(object.known.size(), [&](size_t i, std::span<std::byte> buffer) -> Result<void> {
    const Extent& extent = object.known[i];
    const std::span<std::byte> bytes = buffer.first(extent.pages * kPageBytes);
    if (extent.block == kZeroBlock) {
      TRY(object.file->Read(extent.address, bytes));
      same[i] = IsAllZeros(bytes) ? 1 : 0;
      return {};
    }
    const StoredBlock& stored = stored_.at(extent.block);
    if (stored.bytes != bytes.size()) return {};
    TRY(object.file->Read(extent.address, bytes));
    same[i] = HashBytes128(bytes) == stored.hash ? 1 : 0;
    return {};
  }));
  std::vector<Extent> unchanged;
  for (size_t i = 0; i < same.size(); ++i) {
    if (same[i] != 0) unchanged.push_back(object.known[i]);
  }
  return unchanged;
}

Result<void> SharedMemoryCapture::CaptureFrozen(const std::vector<pid_t>& pids) {
  const std::vector<FoundObject> found = TRY(FindSharedObjects(pids, /*ended_too=*/false));
  for (const FoundObject& one : found) {
    Object& object = ObjectOf(one);
    if (!object.file) object.file.emplace(TRY(SharedObjectFile::Open(one)));
    TRY(CaptureOne(one, object));
    captured_.push_back(one.inode);
  }
  return {};
}

Result<void> SharedMemoryCapture::CaptureOne(const FoundObject& found, Object& object) {
  std::vector<PageRun> wanted;
  std::optional<std::vector<PageRun>> written;
  if (object.tracked) written = TRY(tracking_->FindWritten(object.inode, found.uses));
  if (written) {
    for (const PageRun& run : *written) {
      const std::vector<PageRun> data = TRY(object.file->DataIn(run.address, EndOf(run)));
      wanted.insert(wanted.end(), data.begin(), data.end());
    }
    object.known = Without(object.known, *written);
  } else {
    object.known = TRY(Unchanged(object));
    wanted = LeftOf(TRY(object.file->DataIn(0, TRY(object.file->Bytes()))), RunsOf(object.known));
  }
  std::vector<StagedMemory::Wanted> copies;
  copies.reserve(wanted.size());
  for (const PageRun& run : wanted) copies.push_back({run.address, run.bytes, false});
  return object.staged.Copy(copies, [&object](uint64_t offset, std::span<std::byte> out) {
    return object.file->Read(offset, out);
  });
}

void SharedMemoryCapture::BeforeTwin(pid_t pid) {
  if (tracking_) tracking_->LetGo(pid);
}

Result<std::vector<SharedObject>> SharedMemoryCapture::Drain(PendingSnapshot& pending) {
  std::vector<SharedObject> stored;
  for (const uint64_t inode : captured_) {
    Object& object = objects_.at(inode);
    SharedObject shared;
    shared.id = object.inode;
    shared.name = object.name;
    shared.extents = TRY(DrainStaged(
        object.staged, pending, [](uint64_t) { return false; }, kBlockBytes));
    object.staged = StagedMemory();
    for (const Extent& extent : object.known) {
      if (extent.block != kZeroBlock) shared.extents.push_back(extent);
    }
    SortExtents(shared.extents);
    stored.push_back(std::move(shared));
  }
  return stored;
}

uint64_t SharedMemoryCapture::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [inode, object] : objects_) {
    for (const StagedRange& range : object.staged.ranges()) bytes += range.bytes.size();
  }
  return bytes;
}

}  // namespace holdfast
