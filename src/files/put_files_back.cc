// PutFilesBack: first every file is opened and looked at, so that what must be refused is refused before
// anything is changed; then content is compared, block by block on all cores, and only what differs is
// written.
//
// In place, because the job's other descriptors, hard links and CRIU's images name these very files. Not
// atomic: when it is cut off, doing it again completes it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <vector>

#include "base/page.h"
#include "base/parallel.h"
#include "base/paths.h"
#include "base/units.h"
#include "base/zeros.h"
#include "files/descriptor_limit.h"
#include "files/directories.h"
#include "files/file_blocks.h"
#include "files/file_times.h"
#include "files/files.h"
#include "files/sidecars.h"
#include "files/sqlite_files.h"
#include "files/tree_return.h"

namespace holdfast {

namespace {

// A file on its way back.
struct Return {
  const FileState* state = nullptr;
  Fd fd;                 // invalid as long as the file is missing
  bool writable = true;  // else `fd` can only be read
  int write_error = 0;   // why
  bool created = false;
  uint64_t bytes_before = 0;
  std::atomic<uint64_t> bytes_written{0};
  std::vector<std::string> done;  // "mode", ...
};

Result<void> CheckRecord(const FileState& state) {
  const bool whole = !state.content_kept || (state.content.bytes == state.bytes &&
                                             state.content.blocks.size() == FileBlockCount(state.bytes));
  if (whole && state.path.starts_with('/')) return {};
  return Fail(ErrorKind::kCorrupt,
              fmt::format("the snapshot's record of the file '{}' makes no sense", state.path));
}

class Putter {
 public:
  Putter(const std::vector<DirectoryState>& directories, const std::vector<FileTree>& trees,
         const BlockReader& blocks, const std::string& root, Progress* progress)
      : directories_(directories),
        file_trees_(trees),
        blocks_(blocks),
        root_path_(root.empty() ? "/" : root),
        progress_(progress) {}

  Result<std::vector<std::string>> Run(const std::vector<FileState>& files);

 private:
  bool IsInTree(const std::string& path) const;
  Result<void> PutOpenBack();
  Result<std::unique_ptr<Return>> Open(const FileState& state) const;
  Result<void> CheckNotKept(const Return& file) const;
  Result<void> Create(Return& file);
  Result<void> RestoreLength(Return& file);
  Result<void> RestoreRange(const BlockRange& range);
  Result<void> RestoreBlock(Return& file, uint64_t number, std::span<const std::byte> on_disk,
                            std::span<std::byte> wanted);
  Result<void> Write(const Return& file, uint64_t offset, std::span<const std::byte> bytes) const;
  Result<void> WriteIntoHole(const Return& file, uint64_t offset, std::span<const std::byte> bytes) const;
  Result<void> RestoreAttributes(Return& file);
  Result<void> RemoveSidecars(const Return& file);
  Error Refused(const std::string& path, int error_number) const;
  void Describe(const Return& file);

  const std::vector<DirectoryState>& directories_;
  const std::vector<FileTree>& file_trees_;
  const BlockReader& blocks_;
  std::string root_path_;
  Progress* progress_;
  RaisedDescriptorLimit descriptor_limit_;
  Fd root_;
  std::vector<std::unique_ptr<Return>> returns_;  // those that are open
  FileStates states_;
  std::atomic<uint64_t> bytes_done_{0};
  std::vector<std::string> sentences_;
};

Result<std::vector<std::string>> Putter::Run(const std::vector<FileState>& files) {
  root_.Reset(::open(root_path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_.valid()) return FailErrno("cannot open " + root_path_);
  for (const FileState& state : files) {
    TRY(CheckRecord(state));
    states_[state.path] = &state;
  }
  std::vector<TreeReturn> trees;
  for (const FileTree& tree : file_trees_) TRY(trees.emplace_back(tree, states_, root_, sentences_).Check());
  std::vector<const FileState*> in_trees;
  for (const FileState& state : files) {
    const bool in_tree = IsInTree(state.path);
    if (in_tree) in_trees.push_back(&state);
    if (in_tree && state.content_kept) continue;  // what is in its way, goes
    std::unique_ptr<Return> file = TRY(Open(state));
    if (!in_tree && file != nullptr) returns_.push_back(std::move(file));
  }
  sentences_ = TRY(MakeMissingDirectories(root_, directories_));
  for (TreeReturn& tree : trees) TRY(tree.PutNames());
  TRY(PutOpenBack());
  // Those in trees may be many, and what stands in their way is gone: some at a time.
  constexpr size_t kFilesOpenMax = 512;
  for (size_t i = 0; i < in_trees.size(); ++i) {
    if (std::unique_ptr<Return> file = TRY(Open(*in_trees[i]))) returns_.push_back(std::move(file));
    if (returns_.size() >= kFilesOpenMax || i + 1 == in_trees.size()) TRY(PutOpenBack());
  }
  for (TreeReturn& tree : trees) TRY(tree.Complete());
  return std::move(sentences_);
}

bool Putter::IsInTree(const std::string& path) const {
  return std::any_of(file_trees_.begin(), file_trees_.end(),
                     [&](const FileTree& tree) { return IsWithin(path, tree.path); });
}

Result<void> Putter::PutOpenBack() {
  std::vector<BlockRange> ranges;
  for (size_t i = 0; i < returns_.size(); ++i) {
    Return& file = *returns_[i];
    if (!file.fd.valid()) TRY(Create(file));
    TRY(RestoreLength(file));
    if (file.state->content_kept) AppendBlockRanges(i, file.state->bytes, ranges);
  }
  TRY(ParallelFor(ranges.size(), [&](size_t i) { return RestoreRange(ranges[i]); }));
  for (const auto& file : returns_) {
    TRY(RemoveSidecars(*file));
    TRY(RestoreAttributes(*file));
    Describe(*file);
  }
  returns_.clear();
  return {};
}

Error Putter::Refused(const std::string& path, int error_number) const {
  if (error_number == ELOOP) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("{} was a file at the checkpoint, and is or lies behind a symbolic link now",
                            path))
        .WithHint("put a file in its place, or resume without putting files back");
  }
  return FailErrno(error_number, "cannot put back " + path);
}

// Null when it is there, and that is all.
Result<std::unique_ptr<Return>> Putter::Open(const FileState& state) const {
  auto file = std::make_unique<Return>();
  file->state = &state;
  // First as a mere place: opening a fifo or a device does things.
  const Fd place(OpenWithoutLinks(root_.get(), state.path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!place.valid()) {
    if (errno != ENOENT) return Refused(state.path, errno);
  } else {
    if (::fstat(place.get(), &status) != 0) return Refused(state.path, errno);
    if (state.only_if_missing && S_ISREG(status.st_mode)) return nullptr;
    if (S_ISLNK(status.st_mode)) return Refused(state.path, ELOOP);
    if (!S_ISREG(status.st_mode)) {
      return Fail(
                 ErrorKind::kUnsupported,
                 fmt::format("{} was a regular file at the checkpoint and is something else now", state.path))
          .WithHint("move it away, then resume again");
    }
    const std::string link = fmt::format("/proc/self/fd/{}", place.get());
    file->fd.Reset(::open(link.c_str(), O_RDWR | O_CLOEXEC));
    if (!file->fd.valid()) {
      file->writable = false;
      file->write_error = errno;
      file->fd.Reset(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
      if (!file->fd.valid()) return Refused(state.path, errno);
    }
    file->bytes_before = static_cast<uint64_t>(status.st_size);
  }
  if (!state.content_kept) TRY(CheckNotKept(*file));
  return file;
}

Result<void> Putter::CheckNotKept(const Return& file) const {
  const FileState& state = *file.state;
  if (file.fd.valid() && file.bytes_before >= state.bytes) return {};
  const std::string now = file.fd.valid() ? "has only " + FormatBytes(file.bytes_before) : "is gone";
  return Fail(ErrorKind::kNotFound,
              fmt::format("{} had {} at the checkpoint and {} now; the snapshot does not hold "
                          "its content",
                          state.path, FormatBytes(state.bytes), now))
      .WithHint("put the file back from elsewhere, then resume again");
}

Result<void> Putter::Create(Return& file) {
  const FileState& state = *file.state;
  file.fd.Reset(
      OpenWithoutLinks(root_.get(), state.path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  file.created = true;
  if (file.fd.valid()) return {};
  if (errno == ENOENT) {
    const std::string directory = std::filesystem::path(state.path).parent_path().string();
    return Fail(ErrorKind::kNotFound,
                fmt::format("cannot put back {}: its directory {} is gone", state.path, directory))
        .WithHint(
            fmt::format("mkdir -p {}, with the owner that the job needs, then resume again", directory));
  }
  return Refused(state.path, errno);
}

Result<void> Putter::RestoreLength(Return& file) {
  if (!file.created && file.bytes_before == file.state->bytes) return {};
  if (!file.writable) return Refused(file.state->path, file.write_error);
  if (::ftruncate(file.fd.get(), static_cast<off_t>(file.state->bytes)) != 0) {
    return Refused(file.state->path, errno);
  }
  return {};
}

Result<void> Putter::RestoreRange(const BlockRange& range) {
  thread_local const auto buffer = std::make_unique<std::byte[]>(kFileBlockBytes);
  Return& file = *returns_[range.file];
  const FileState& state = *file.state;
  const ReadEnd end = TRY(ReadFileBlocks(
      file.fd.get(), state.bytes, range, [&](uint64_t number, std::span<const std::byte> on_disk) {
        return RestoreBlock(file, number, on_disk,
                            std::span(buffer.get(), FileBlockBytes(state.bytes, number)));
      }));
  if (end == ReadEnd::kUnreadable) return Refused(state.path, errno);
  if (end == ReadEnd::kShort) {
    return Fail(ErrorKind::kBusy, state.path + " is being written by another process")
        .WithHint("end what writes to it, then resume again");
  }
  return {};
}

// `on_disk` is empty for a hole.
Result<void> Putter::RestoreBlock(Return& file, uint64_t number, std::span<const std::byte> on_disk,
                                  std::span<std::byte> wanted) {
  const FileState& state = *file.state;
  const uint32_t block = state.content.blocks[number];
  if (block != kZeroBlock) {
    TRY(blocks_.Read(block, wanted));
  } else {
    std::fill(wanted.begin(), wanted.end(), std::byte{0});
  }
  const bool same =
      on_disk.empty() ? IsAllZeros(wanted) : std::memcmp(on_disk.data(), wanted.data(), wanted.size()) == 0;
  if (!same) {
    if (!file.writable) return Refused(state.path, file.write_error);
    const uint64_t offset = number * kFileBlockBytes;
    if (on_disk.empty()) {
      TRY(WriteIntoHole(file, offset, wanted));
    } else {
      TRY(Write(file, offset, wanted));
    }
    file.bytes_written += wanted.size();
  }
  const uint64_t done = bytes_done_ += wanted.size();
  if (progress_ != nullptr) progress_->Advance(done);
  return {};
}

Result<void> Putter::Write(const Return& file, uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file.fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return Refused(file.state->path, errno);
    offset += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

// Leaves as much of it a hole as was one, by pages.
Result<void> Putter::WriteIntoHole(const Return& file, uint64_t offset,
                                   std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const size_t page = std::min<size_t>(bytes.size(), kPageBytes);
    if (!IsAllZeros(bytes.first(page))) TRY(Write(file, offset, bytes.first(page)));
    offset += page;
    bytes = bytes.subspan(page);
  }
  return {};
}

// Owner before mode: a change of owner clears setuid and setgid.
Result<void> Putter::RestoreAttributes(Return& file) {
  const FileState& state = *file.state;
  struct stat status {};
  if (::fstat(file.fd.get(), &status) != 0) return Refused(state.path, errno);
  if (status.st_uid != state.uid || status.st_gid != state.gid) {
    if (::fchown(file.fd.get(), state.uid, state.gid) != 0) return Refused(state.path, errno);
    file.done.push_back(fmt::format("owner {}:{}", state.uid, state.gid));
    if (::fstat(file.fd.get(), &status) != 0) return Refused(state.path, errno);
  }
  if ((status.st_mode & 07777) != state.mode) {
    if (::fchmod(file.fd.get(), state.mode) != 0) return Refused(state.path, errno);
    file.done.push_back(fmt::format("mode {:04o}", state.mode));
  }
  const timespec mtime = TimespecOf(state.mtime_ns);
  if (IsSameTime(status.st_mtim, mtime)) return {};
  // Content that was not kept may be newer than its time would say.
  if (!state.content_kept) return {};
  const timespec times[2] = {{0, UTIME_OMIT}, mtime};
  if (::futimens(file.fd.get(), times) != 0) return Refused(state.path, errno);
  return {};
}

// What SQLite would replay into a database that it does not belong to any more.
Result<void> Putter::RemoveSidecars(const Return& file) {
  const std::string& database = file.state->path;
  if (!IsSqliteDatabase(file.fd.get())) return {};
  const std::filesystem::path path(database);
  const Fd directory(
      OpenWithoutLinks(root_.get(), path.parent_path().string(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return Refused(database, errno);
  for (const std::string_view suffix : kSqliteSuffixes) {
    const std::string sidecar = database + std::string(suffix);
    if (states_.contains(sidecar)) continue;
    const std::string name = path.filename().string() + std::string(suffix);
    struct stat status {};
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(status.st_mode)) continue;
    if (::unlinkat(directory.get(), name.c_str(), 0) != 0) return Refused(sidecar, errno);
    sentences_.push_back(
        fmt::format("{}: removed; it came after the snapshot and SQLite would have replayed it", sidecar));
  }
  return {};
}

void Putter::Describe(const Return& file) {
  const FileState& state = *file.state;
  std::vector<std::string> done;
  if (file.created) {
    done.push_back(fmt::format("recreated ({})", FormatBytes(state.bytes)));
  } else {
    if (file.bytes_before > state.bytes) {
      done.push_back(fmt::format("truncated by {}", FormatBytes(file.bytes_before - state.bytes)));
    }
    if (file.bytes_written > 0) {
      done.push_back(
          fmt::format("rewrote {} of {}", FormatBytes(file.bytes_written), FormatBytes(state.bytes)));
    } else if (file.bytes_before < state.bytes) {
      done.push_back(fmt::format("extended by {} of zeros", FormatBytes(state.bytes - file.bytes_before)));
    }
    done.insert(done.end(), file.done.begin(), file.done.end());
    if (!done.empty() && !state.content_kept) done.emplace_back("its content was not kept and may be newer");
  }
  if (done.empty()) return;
  sentences_.push_back(fmt::format("{}: {}", state.path, fmt::join(done, ", ")));
}

}  // namespace

Result<std::vector<std::string>> PutFilesBack(const std::vector<FileState>& files,
                                              const std::vector<DirectoryState>& directories,
                                              const std::vector<FileTree>& trees, const BlockReader& blocks,
                                              const std::string& root, Progress* progress) {
  return Putter(directories, trees, blocks, root, progress).Run(files);
}

}  // namespace holdfast
