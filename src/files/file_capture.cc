// FileCapture: content is stored while the job runs, compared while it stands still, completed when it runs
// again.
//
// What decides at the freeze:
//   append-only          -> the size; its bytes below that size do not change any more, Finish reads them
//   settled, times equal -> what Prepare stored
//   all else             -> read and compared by hash; blocks that differ are kept in memory
// "Settled": on a local file system, and last changed so long before Prepare that no write can have been
// under way. A file mapped shared and writable is always compared. There is no way to drop content silently:
// what does not fit into memory fails the checkpoint, and the job runs on.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <utility>

#include "base/clock.h"
#include "base/parallel.h"
#include "base/units.h"
#include "files/descriptor_limit.h"
#include "files/directories.h"
#include "files/file_blocks.h"
#include "files/files.h"
#include "files/found_files.h"
#include "files/kept_bytes.h"
#include "files/sidecars.h"
#include "files/sqlite_files.h"
#include "files/tracked_file.h"
#include "linux/cgroup.h"

namespace holdfast {

namespace {

constexpr double kLongComparisonMs = 50;

// A block as it was at the freeze: stored already, or kept.
struct FrozenBlock {
  uint32_t index = kZeroBlock;
  const std::byte* kept = nullptr;
};

struct FrozenFile {
  TrackedFile* tracked = nullptr;
  FileState state;
  bool read_later = false;  // append-only: Finish reads it
  std::vector<FrozenBlock> blocks;
};

// What may be kept in memory without starving anybody else.
uint64_t KeptBytesMax() {
  uint64_t available = MemoryAvailable().value_or(UINT64_MAX);
  if (const auto headroom = CgroupMemoryHeadroom(::getpid())) available = std::min(available, *headroom);
  return available / 4 * 3;
}

class Capture final : public FileCapture {
 public:
  Capture(PendingSnapshot& pending, FileCaptureOptions options)
      : pending_(pending), options_(std::move(options)) {}

  Result<void> PrepareRunning(const std::vector<pid_t>& pids);
  Result<void> CaptureFrozen(const std::vector<pid_t>& pids) override;
  Result<std::vector<FileState>> Finish() override;
  const std::vector<DirectoryState>& directories() const override { return directories_; }
  const std::vector<std::string>& warnings() const override { return warnings_; }

 private:
  bool IsKept(const TrackedFile& file, uint64_t bytes) const {
    return file.fd.valid() && bytes <= options_.file_bytes_max;
  }
  Result<void> StoreRange(const BlockRange& range, std::vector<TrackedFile*>& files);
  Result<void> Look(const FoundFile& found);
  Result<void> LookAt(TrackedFile& file, bool was_append_only, bool was_mapped);
  Result<void> LookForSidecars();
  Result<void> Compare();
  Result<void> CompareRange(const BlockRange& range);
  Result<void> StoreKept();
  Result<void> StoreAppended();
  Result<void> StoreAppendedRange(const BlockRange& range, std::set<std::string>& overwritten,
                                  std::mutex& mutex);
  Error TooMuchToKeep(const std::string& path) const;
  void NoteUnreadable(FrozenFile& file);
  void WarnOfContentNotKept(const FrozenFile& file);

  PendingSnapshot& pending_;
  FileCaptureOptions options_;
  RaisedDescriptorLimit descriptor_limit_;
  std::map<FileKey, TrackedFile> tracked_;
  std::vector<FrozenFile> frozen_;
  std::vector<BlockRange> to_compare_;
  KeptBytes kept_;
  std::mutex unreadable_mutex_;
  std::vector<DirectoryState> directories_;
  std::vector<std::string> warnings_;
};

Result<void> Capture::PrepareRunning(const std::vector<pid_t>& pids) {
  const FoundFiles found = TRY(FindFiles(pids, options_.ignore_prefixes, options_.began_ms));
  std::vector<TrackedFile*> files;
  std::vector<BlockRange> ranges;
  uint64_t changing_bytes = 0;
  for (const FoundFile& one : found.files) {
    std::optional<TrackedFile> opened = TRY(TrackFile(one, options_.settled_after_seconds));
    if (!opened) continue;
    TrackedFile& file = tracked_.insert_or_assign(one.key, std::move(*opened)).first->second;
    if (!IsKept(file, file.times.bytes)) continue;
    file.stored.resize(FileBlockCount(file.times.bytes));
    AppendBlockRanges(files.size(), file.times.bytes, ranges);
    files.push_back(&file);
    if (!one.append_only) changing_bytes += file.times.bytes;
  }
  TRY(ParallelFor(ranges.size(), [&](size_t i) { return StoreRange(ranges[i], files); }));
  kept_.Prepare(changing_bytes);
  return {};
}

Result<void> Capture::StoreRange(const BlockRange& range, std::vector<TrackedFile*>& files) {
  TrackedFile& file = *files[range.file];
  // Shorter by now, or not readable after all: the frozen pass sees to it.
  TRY(ReadFileBlocks(file.fd.get(), file.times.bytes, range,
                     [&](uint64_t number, std::span<const std::byte> bytes) -> Result<void> {
                       StoredBlock block;
                       block.bytes = FileBlockBytes(file.times.bytes, number);
                       if (!bytes.empty()) {
                         block.hash = HashBytes128(bytes);
                         block.index = TRY(pending_.AppendBlock(bytes));
                       }
                       file.stored[number] = block;
                       return {};
                     }));
  return {};
}

Result<void> Capture::CaptureFrozen(const std::vector<pid_t>& pids) {
  const Stopwatch watch;
  kept_.SetLimit(KeptBytesMax());
  FoundFiles found = TRY(FindFiles(pids, options_.ignore_prefixes, options_.began_ms));
  warnings_ = std::move(found.warnings);
  frozen_.reserve(found.files.size());
  for (const FoundFile& file : found.files) TRY(Look(file));
  TRY(LookForSidecars());
  std::vector<SeenPath> paths;
  paths.reserve(frozen_.size());
  for (const FrozenFile& file : frozen_) paths.push_back({file.tracked->found.pid, file.state.path});
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

Result<void> Capture::Look(const FoundFile& found) {
  auto entry = tracked_.find(found.key);
  if (entry == tracked_.end()) {
    std::optional<TrackedFile> opened = TRY(TrackFile(found, options_.settled_after_seconds));
    if (!opened) return {};
    entry = tracked_.emplace(found.key, std::move(*opened)).first;
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
  const int looked = file.fd.valid() ? ::fstat(file.fd.get(), &status) : ::stat(found.link.c_str(), &status);
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
  frozen.state.content_kept = IsKept(file, times.bytes);
  if (!frozen.state.content_kept) return {};

  frozen.blocks.resize(FileBlockCount(times.bytes));
  if (found.append_only && was_append_only) {
    frozen.read_later = true;
  } else if ((file.settled || found.read_only) && times == file.times && !found.mapped && !was_mapped &&
             file.stored.size() == frozen.blocks.size() &&
             std::all_of(file.stored.begin(), file.stored.end(),
                         [](const StoredBlock& block) { return block.bytes != 0; })) {
    for (size_t i = 0; i < frozen.blocks.size(); ++i) frozen.blocks[i].index = file.stored[i].index;
  } else {
    AppendBlockRanges(frozen_.size() - 1, times.bytes, to_compare_);
  }
  return {};
}

// A journal that exists but is not open belongs to its database. Known at the freeze, one that is there at
// the restart and not in the snapshot is known to be of later.
Result<void> Capture::LookForSidecars() {
  std::set<std::string> known;
  for (const FrozenFile& file : frozen_) known.insert(file.state.path);
  const size_t files = frozen_.size();
  for (size_t i = 0; i < files; ++i) {
    const TrackedFile& database = *frozen_[i].tracked;
    if (!database.fd.valid() || !IsSqliteDatabase(database.fd.get())) continue;
    for (const std::string_view suffix : kSqliteSuffixes) {
      FoundFile found;
      found.path = frozen_[i].state.path + std::string(suffix);
      if (known.contains(found.path)) continue;
      std::optional<TrackedFile> sidecar = TRY(TrackSidecar(database.found.pid, found.path));
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

Result<std::vector<FileState>> Capture::Finish() {
  TRY(StoreKept());
  TRY(StoreAppended());
  std::vector<FileState> states;
  for (FrozenFile& file : frozen_) {
    file.state.content_kept = file.state.content_kept && file.tracked->unreadable.empty();
    if (file.state.content_kept) {
      file.state.content.bytes = file.state.bytes;
      for (const FrozenBlock& block : file.blocks) file.state.content.blocks.push_back(block.index);
    } else {
      WarnOfContentNotKept(file);
    }
    states.push_back(std::move(file.state));
  }
  frozen_.clear();
  tracked_.clear();
  std::sort(states.begin(), states.end(),
            [](const FileState& a, const FileState& b) { return a.path < b.path; });
  return states;
}

Result<void> Capture::StoreKept() {
  std::vector<std::pair<FrozenBlock*, uint32_t>> blocks;
  for (FrozenFile& file : frozen_) {
    for (uint64_t number = 0; number < file.blocks.size(); ++number) {
      if (file.blocks[number].kept == nullptr) continue;
      blocks.emplace_back(&file.blocks[number], FileBlockBytes(file.state.bytes, number));
    }
  }
  TRY(ParallelFor(blocks.size(), [&](size_t i) -> Result<void> {
    auto [block, bytes] = blocks[i];
    block->index = TRY(pending_.AppendBlock({std::exchange(block->kept, nullptr), bytes}));
    return {};
  }));
  kept_.Clear();
  return {};
}

Result<void> Capture::StoreAppended() {
  std::vector<BlockRange> ranges;
  for (size_t i = 0; i < frozen_.size(); ++i) {
    if (frozen_[i].read_later) AppendBlockRanges(i, frozen_[i].state.bytes, ranges);
  }
  std::set<std::string> overwritten;
  std::mutex mutex;
  TRY(ParallelFor(ranges.size(),
                  [&](size_t i) { return StoreAppendedRange(ranges[i], overwritten, mutex); }));
  for (const FrozenFile& file : frozen_) {
    struct stat status {};
    if (!file.read_later) continue;
    if (::fstat(file.tracked->fd.get(), &status) != 0) return FailErrno("cannot look at " + file.state.path);
    if (static_cast<uint64_t>(status.st_size) < file.state.bytes) {
      // Before the size was looked at, so what was read may be holes. Another try may be luckier.
      return Fail(ErrorKind::kBusy, file.state.path + " was truncated while it was being stored");
    }
  }
  for (const std::string& path : overwritten) {
    warnings_.push_back(path +
                        " was rewritten in place although the job has it open for appending only; its "
                        "content may be of shortly after the snapshot");
  }
  return {};
}

Result<void> Capture::StoreAppendedRange(const BlockRange& range, std::set<std::string>& overwritten,
                                         std::mutex& mutex) {
  FrozenFile& file = frozen_[range.file];
  const std::vector<StoredBlock>& stored = file.tracked->stored;
  const ReadEnd end =
      TRY(ReadFileBlocks(file.tracked->fd.get(), file.state.bytes, range,
                         [&](uint64_t number, std::span<const std::byte> bytes) -> Result<void> {
                           FrozenBlock& block = file.blocks[number];
                           if (file.tracked->IsStored(number, file.state.bytes, bytes)) {
                             block.index = stored[number].index;
                             return {};
                           }
                           if (number < stored.size() && stored[number].bytes == kFileBlockBytes) {
                             const std::lock_guard lock(mutex);
                             overwritten.insert(file.state.path);
                           }
                           if (!bytes.empty()) block.index = TRY(pending_.AppendBlock(bytes));
                           return {};
                         }));
  if (end == ReadEnd::kUnreadable) NoteUnreadable(file);
  return {};
}

void Capture::WarnOfContentNotKept(const FrozenFile& file) {
  if (!file.tracked->unreadable.empty()) {
    warnings_.push_back(
        fmt::format("the content of {} is not kept: {}", file.state.path, file.tracked->unreadable));
  } else {
    warnings_.push_back(fmt::format("the content of {} is not kept: it has {}, more than {}", file.state.path,
                                    FormatBytes(file.state.bytes), FormatBytes(options_.file_bytes_max)));
  }
}

}  // namespace

Result<std::unique_ptr<FileCapture>> FileCapture::Prepare(const std::vector<pid_t>& pids,
                                                          PendingSnapshot& pending,
                                                          const FileCaptureOptions& options) {
  auto capture = std::make_unique<Capture>(pending, options);
  TRY(capture->PrepareRunning(pids));
  return std::unique_ptr<FileCapture>(std::move(capture));
}

}  // namespace holdfast
