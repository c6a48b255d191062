// FileCapture: content is stored while the job runs, compared while it stands still, completed when it runs
// again.
//
// What decides at the freeze:
//   append-only          -> the size; its bytes below that size do not change any more, Finish reads them
//   settled, times equal -> what Prepare stored
//   large, can reflink   -> a reflink, which Finish compares and reads
//   all else             -> read and compared by hash; blocks that differ are kept in memory
// "Settled": on a local file system, and last changed so long before Prepare that no write can have been
// under way; or known not to have changed since the parent snapshot; or, in a tree, open for nobody to write.
// A file mapped shared and writable is always compared. There is no way to drop content silently:
// what does not fit into memory fails the checkpoint, and the job runs on.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/units.h"
#include "base/zeros.h"
#include "files/capture.h"
#include "files/directories.h"
#include "files/file_times.h"
#include "files/reflink.h"
#include "files/sidecars.h"
#include "files/sqlite_files.h"
#include "linux/cgroup.h"
#include "linux/proc.h"

namespace holdfast {

namespace {

constexpr double kLongComparisonMs = 50;

// What may be kept in memory without starving anybody else.
uint64_t KeptBytesMax() {
  uint64_t available = MemoryAvailable().value_or(UINT64_MAX);
  if (const auto headroom = CgroupMemoryHeadroom(::getpid())) available = std::min(available, *headroom);
  return available / 4 * 3;
}

std::set<FileKey> WrittenOf(const FoundFiles& found) {
  std::set<FileKey> written;
  for (const FoundFile& file : found.files) {
    if (!file.read_only) written.insert(file.key);
  }
  return written;
}

}  // namespace

// Of processes that have been started since, too: they may be writing to a file already.
Result<FoundFiles> Capture::FindRunning(std::vector<pid_t> pids) const {
  if (const Result<std::vector<pid_t>> now = ReadTree(pids.front())) {
    pids.insert(pids.end(), now->begin(), now->end());
  }
  std::sort(pids.begin(), pids.end());
  pids.erase(std::unique(pids.begin(), pids.end()), pids.end());
  return FindFiles(pids, options_.ignored, options_.began_ms);
}

Result<void> Capture::PrepareRunning(const std::vector<pid_t>& pids) {
  const int64_t began_ns = RealTimeNs();
  const FoundFiles found = TRY(FindRunning(pids));
  std::vector<TrackedFile*> files;
  std::vector<BlockRange> ranges;
  uint64_t changing_bytes = 0;
  for (const FoundFile& one : found.files) {
    std::optional<TrackedFile> opened = TRY(TrackFile(one, options_.settled_after_seconds));
    if (!opened) continue;
    TrackedFile& file = tracked_.insert_or_assign(one.key, std::move(*opened)).first->second;
    if (!IsKept(file, file.times.bytes)) continue;
    if (!one.append_only && !one.read_only && file.times.bytes >= options_.reflink_bytes_min) {
      file.copy = MakeReflinkPlace(file.fd.get(), one.pid, one.path);
    }
    if (!one.append_only && !file.copy.valid()) changing_bytes += file.times.bytes;
    if (TRY(parent_.TakeOver(file))) {
      file.settled = true;
      continue;
    }
    file.stored.resize(FileBlockCount(file.times.bytes));
    AppendBlockRanges(files.size(), file.times.bytes, ranges);
    files.push_back(&file);
  }
  TRY(ParallelFor(ranges.size(),
                  [&](size_t i) { return StoreBlocks(pending_, *files[ranges[i].file], ranges[i]); }));
  TRY(trees_.StoreRunning(pids.front(), WrittenOf(found), began_ns));
  kept_.Prepare(changing_bytes);
  return {};
}

Result<void> Capture::Refresh(const std::vector<pid_t>& pids) {
  for (const auto& [key, file] : tracked_) {
    if (file.copy.valid()) WriteDirtyPages(file.fd.get());
  }
  if (options_.trees.empty()) return {};
  const int64_t began_ns = RealTimeNs();
  const FoundFiles found = TRY(FindRunning(pids));
  return trees_.StoreRunning(pids.front(), WrittenOf(found), began_ns);
}

Result<void> Capture::CaptureFrozen(const std::vector<pid_t>& pids) {
  const Stopwatch watch;
  frozen_ns_ = RealTimeNs();
  kept_.SetLimit(KeptBytesMax());
  FoundFiles found = TRY(FindFiles(pids, options_.ignored, options_.began_ms));
  warnings_ = std::move(found.warnings);
  frozen_.reserve(found.files.size());
  for (const FoundFile& file : found.files) TRY(Look(file));
  TRY(LookAtTrees(pids.front()));
  TRY(LookForSidecars());
  std::vector<SeenPath> paths;
  paths.reserve(frozen_.size());
  for (const FrozenFile& file : frozen_) {
    if (!IsInTree(file.state.path)) paths.push_back({file.tracked->found.pid, file.state.path});
  }
  for (const WalkedTree& tree : trees_.walked()) {
    if (tree.there) paths.push_back({pids.front(), tree.path});  // what is in it has its own directories
  }
  directories_ = FindDirectories(pids, paths);
  TRY(Compare());
  if (watch.ElapsedMs() > kLongComparisonMs && !to_compare_.empty()) {
    uint64_t blocks = 0;
    for (const BlockRange& range : to_compare_) blocks += range.count;
    warnings_.push_back(fmt::format("comparing {} of files that change in place made the freeze {} longer",
                                    FormatBytes(blocks * kFileBlockBytes),
                                    FormatMilliseconds(watch.ElapsedMs())));
  }
  return {};
}

bool Capture::IsInTree(const std::string& path) const {
  return std::any_of(options_.trees.begin(), options_.trees.end(),
                     [&](const std::string& tree) { return IsWithin(path, tree); });
}

Result<void> Capture::Look(const FoundFile& found) {
  auto entry = tracked_.find(found.key);
  if (entry == tracked_.end()) {
    std::optional<TrackedFile> opened = TRY(TrackFile(found, options_.settled_after_seconds));
    if (!opened) return {};
    entry = tracked_.emplace(found.key, std::move(*opened)).first;
    if (const TrackedFile* const stored = trees_.Find(found.key)) {  // closed when it was stored
      entry->second.times = stored->times;
      entry->second.settled = stored->settled;
      entry->second.stored = stored->stored;
    }
  }
  TrackedFile& file = entry->second;
  const bool was_append_only = file.found.append_only;
  const bool was_mapped = file.found.mapped;
  file.found = found;
  return LookAt(file, was_append_only, was_mapped);
}

Result<void> Capture::LookAt(TrackedFile& file, bool was_append_only, bool was_mapped) {
  const FoundFile& found = file.found;
  struct stat status {};
  const int looked = file.fd.valid()      ? ::fstat(file.fd.get(), &status)
                     : file.place.valid() ? ::fstat(file.place.get(), &status)
                                          : ::stat(found.link.c_str(), &status);
  if (looked != 0) return FailErrno("cannot look at " + found.path);
  const FileTimes times = TimesOf(status);

  FrozenFile& frozen = frozen_.emplace_back();
  frozen.tracked = &file;
  frozen.state.path = found.path;
  frozen.state.bytes = times.bytes;
  frozen.state.mode = status.st_mode & 07777;
  frozen.state.uid = status.st_uid;
  frozen.state.gid = status.st_gid;
  frozen.state.mtime_ns = times.mtime_ns;
  frozen.state.append_only = found.append_only;
  frozen.state.only_if_missing = found.read_only;
  frozen.state.device = found.key.device;
  frozen.state.inode = found.key.inode;
  frozen.state.ctime_ns = times.ctime_ns;
  frozen.mapped = found.mapped;
  frozen.state.content_kept = IsKept(file, times.bytes);
  if (!frozen.state.content_kept) return {};

  // Outside of trees one that is only read is put back when it is missing, and only then.
  const bool believes_times = file.settled || (found.read_only && !IsInTree(found.path));
  frozen.blocks.resize(FileBlockCount(times.bytes));
  if (found.append_only && was_append_only && times.bytes >= options_.append_bytes_min) {
    frozen.read_later = file.fd.get();
    frozen.state.kept_by = "appended to";
  } else if (believes_times && times == file.times && !found.mapped && !was_mapped && file.IsWhollyStored()) {
    TakeStored(frozen);
  } else if (file.copy.valid() && times.bytes >= options_.reflink_bytes_min &&
             Reflink(file.fd.get(), file.copy)) {
    frozen.read_later = file.copy.get();
    frozen.state.kept_by = "reflink";
  } else {
    AppendBlockRanges(frozen_.size() - 1, times.bytes, to_compare_);
    frozen.state.kept_by = "changed blocks";
  }
  return {};
}

void Capture::TakeStored(FrozenFile& frozen) const {
  frozen.blocks.resize(FileBlockCount(frozen.state.bytes));
  for (size_t i = 0; i < frozen.blocks.size(); ++i) frozen.blocks[i].index = frozen.tracked->stored[i].index;
  frozen.state.kept_by = "unchanged";
}

// A journal that exists but is not open belongs to its database. Known at the freeze, one that is there at
// the restart and not in the snapshot is known to be of later.
Result<void> Capture::LookForSidecars() {
  std::set<std::string> known;
  for (const FrozenFile& file : frozen_) known.insert(file.state.path);
  const size_t files = frozen_.size();
  for (size_t i = 0; i < files; ++i) {
    const TrackedFile& database = *frozen_[i].tracked;
    if (IsInTree(frozen_[i].state.path)) continue;  // and so are they
    if (!database.fd.valid() || !IsSqliteDatabase(database.fd.get())) continue;
    for (const std::string_view suffix : kSqliteSuffixes) {
      FoundFile found;
      found.path = frozen_[i].state.path + std::string(suffix);
      if (known.contains(found.path)) continue;
      std::optional<TrackedFile> sidecar = TRY(TrackByName(database.found.pid, found.path));
      if (!sidecar) continue;
      TrackedFile& kept = tracked_.insert_or_assign(sidecar->found.key, std::move(*sidecar)).first->second;
      TRY(LookAt(kept, false, false));
    }
  }
  return {};
}

Result<void> Capture::Compare() {
  return ParallelFor(to_compare_.size(), [&](size_t i) { return CompareRange(to_compare_[i]); });
}

Result<void> Capture::CompareRange(const BlockRange& range) {
  FrozenFile& file = frozen_[range.file];
  const ReadEnd end =
      TRY(ReadFileBlocks(file.tracked->fd.get(), file.state.bytes, range,
                         [&](uint64_t number, std::span<const std::byte> bytes) -> Result<void> {
                           FrozenBlock& block = file.blocks[number];
                           if (file.tracked->IsStored(number, file.state.bytes, bytes)) {
                             block.index = file.tracked->stored[number].index;
                           } else if (!IsAllZeros(bytes)) {
                             block.kept = kept_.Keep(bytes);
                             if (block.kept == nullptr) return TooMuchToKeep(file.state.path);
                           }
                           return {};
                         }));
  if (end == ReadEnd::kUnreadable) NoteUnreadable(file);
  if (end == ReadEnd::kShort) {
    return Fail(ErrorKind::kBusy, file.state.path + " was truncated by another process during the freeze");
  }
  return {};
}

Error Capture::TooMuchToKeep(const std::string& path) const {
  return Fail(ErrorKind::kUnsupported,
              fmt::format("{} and other files were rewritten by more than fits into memory ({}) while the "
                          "checkpoint began",
                          path, FormatBytes(kept_.bytes_kept())))
      .WithHint("take the checkpoint when the job writes less, or give the machine more memory");
}

// The content of the file is lost to this snapshot, and a warning says so.
void Capture::NoteUnreadable(FrozenFile& file) {
  const int error_number = errno;
  const std::lock_guard lock(unreadable_mutex_);
  file.tracked->unreadable = std::generic_category().message(error_number);
}

Result<std::unique_ptr<FileCapture>> FileCapture::Prepare(const std::vector<pid_t>& pids,
                                                          PendingSnapshot& pending,
                                                          const FileCaptureOptions& options) {
  auto capture = std::make_unique<Capture>(pending, options);
  TRY(capture->PrepareRunning(pids));
  return std::unique_ptr<FileCapture>(std::move(capture));
}

}  // namespace holdfast
