// Level by level: the directories of one level are listed and looked at by all cores.
#include "files/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <mutex>

#include "base/limits.h"
#include "base/parallel.h"
#include "files/extended_attributes.h"
#include "files/file_times.h"
#include "files/sidecars.h"

namespace holdfast {
namespace {

int64_t Nanoseconds(const statx_timestamp& time) {
  return time.tv_sec * kNanosecondsPerSecond + time.tv_nsec;
}

bool IsGone(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ESTALE;
}

TreeEntry::Kind KindOf(unsigned mode) {
  if (S_ISDIR(mode)) return TreeEntry::Kind::kDirectory;
  if (S_ISREG(mode)) return TreeEntry::Kind::kFile;
  if (S_ISLNK(mode)) return TreeEntry::Kind::kSymlink;
  if (S_ISFIFO(mode)) return TreeEntry::Kind::kFifo;
  return TreeEntry::Kind::kOther;
}

// `name` empty: `directory` itself. False when it is gone.
Result<bool> LookAt(int directory, const std::string& name, const std::string& shown, WalkedEntry& found) {
  struct statx status {};
  const int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (name.empty() ? AT_EMPTY_PATH : 0);
  if (::statx(directory, name.c_str(), flags, STATX_BASIC_STATS | STATX_MNT_ID, &status) != 0) {
    if (IsGone(errno)) return false;
    return FailErrno("cannot look at " + shown);
  }
  found.entry.kind = KindOf(status.stx_mode);
  found.entry.mode = status.stx_mode & 07777U;
  found.entry.uid = status.stx_uid;
  found.entry.gid = status.stx_gid;
  found.entry.mtime_ns = Nanoseconds(status.stx_mtime);
  found.entry.links = status.stx_nlink;
  found.key = {makedev(status.stx_dev_major, status.stx_dev_minor), status.stx_ino};
  found.times = {status.stx_size, Nanoseconds(status.stx_mtime), Nanoseconds(status.stx_ctime)};
  found.mount = status.stx_mnt_id;
  return true;
}

Result<bool> ReadTarget(int directory, const std::string& name, const std::string& shown,
                        std::string& target) {
  std::array<char, PATH_MAX> text{};
  const ssize_t length = ::readlinkat(directory, name.c_str(), text.data(), text.size());
  if (length < 0 && IsGone(errno)) return false;
  if (length < 0) return FailErrno("cannot read the link " + shown);
  target.assign(text.data(), static_cast<size_t>(length));
  return true;
}

class DirectoryStream {
 public:
  explicit DirectoryStream(Fd fd) : stream_(::fdopendir(fd.get())) {
    if (stream_ != nullptr) static_cast<void>(fd.Release());
  }
  DirectoryStream(const DirectoryStream&) = delete;
  DirectoryStream& operator=(const DirectoryStream&) = delete;
  ~DirectoryStream() {
    if (stream_ != nullptr) ::closedir(stream_);
  }
  // All but "." and "..".
  Result<std::vector<std::string>> Names(const std::string& shown) {
    std::vector<std::string> names;
    if (stream_ == nullptr) return FailErrno("cannot list " + shown);
    for (;;) {
      errno = 0;
      const dirent* const entry = ::readdir(stream_);
      if (entry == nullptr) break;
      std::string name = &entry->d_name[0];
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    if (errno != 0 && !IsGone(errno)) return FailErrno("cannot list " + shown);
    return names;
  }

 private:
  DIR* stream_;
};

class Walker {
 public:
  Walker(const Fd& root, const std::string& path, const WalkedTree* before, int64_t before_ns)
      : root_(root), before_(before), before_ns_(before_ns) {
    tree_.path = path;
  }

  Result<WalkedTree> Walk() {
    Fd top(OpenWithoutLinks(root_.get(), tree_.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!top.valid()) {
      if (IsGone(errno)) return std::move(tree_);
      if (errno != ELOOP) return FailErrno("cannot open " + tree_.path);
      return Fail(ErrorKind::kUnsupported, tree_.path + " is or lies behind a symbolic link")
          .WithHint("name the directory itself with --files");
    }
    tree_.there = true;
    WalkedEntry& first = tree_.entries.emplace_back();
    TRY(LookAt(top.get(), "", tree_.path, first));
    TRY(Complete(top.get(), "", first));
    mount_ = first.mount;
    top_ = std::move(top);
    for (std::vector<std::string> level = {""}; !level.empty();) {
      next_.clear();
      TRY(ParallelFor(level.size(), [&](size_t i) { return List(level[i]); }));
      level.swap(next_);
    }
    const auto by_path = [](const WalkedEntry& a, const WalkedEntry& b) {
      return a.entry.path < b.entry.path;
    };
    std::sort(tree_.entries.begin(), tree_.entries.end(), by_path);
    std::sort(tree_.mounts.begin(), tree_.mounts.end());
    return std::move(tree_);
  }

 private:
  std::string Shown(const std::string& path) const {
    return path.empty() ? tree_.path : tree_.path + "/" + path;
  }

  // Link and attributes. An inode that shows no change since the earlier walk has the same.
  Result<bool> Complete(int directory, const std::string& name, WalkedEntry& found) const {
    const std::string shown = Shown(found.entry.path);
    if (found.entry.kind == TreeEntry::Kind::kSymlink &&
        !TRY(ReadTarget(directory, name, shown, found.entry.target))) {
      return false;
    }
    if (const WalkedEntry* const known = FindBefore(found)) {
      found.entry.attributes = known->entry.attributes;
    } else if (found.entry.kind != TreeEntry::Kind::kOther) {
      const std::string path = fmt::format("/proc/self/fd/{}/{}", directory, name.empty() ? "." : name);
      found.entry.attributes = TRY(ReadAttributes(path, shown));
    }
    return true;
  }

  const WalkedEntry* FindBefore(const WalkedEntry& found) const {
    if (before_ == nullptr || found.times.ctime_ns >= before_ns_ - kTickNs) return nullptr;
    const auto at = std::lower_bound(
        before_->entries.begin(), before_->entries.end(), found.entry.path,
        [](const WalkedEntry& entry, const std::string& path) { return entry.entry.path < path; });
    if (at == before_->entries.end() || at->entry.path != found.entry.path) return nullptr;
    return at->key == found.key && at->times == found.times ? &*at : nullptr;
  }

  Result<void> List(const std::string& path) {
    Fd fd(OpenWithoutLinks(top_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) {
      if (IsGone(errno) || errno == ELOOP) return {};
      return FailErrno("cannot open " + Shown(path));
    }
    const int directory = fd.get();
    DirectoryStream stream(std::move(fd));
    std::vector<WalkedEntry> entries;
    std::vector<std::string> inner;
    std::vector<std::string> mounts;
    for (const std::string& name : TRY(stream.Names(Shown(path)))) {
      WalkedEntry found;
      found.entry.path = path.empty() ? name : path + "/" + name;
      if (!TRY(LookAt(directory, name, Shown(found.entry.path), found))) continue;
      if (found.mount != mount_) {
        found.entry.kind = TreeEntry::Kind::kOther;
        mounts.push_back(Shown(found.entry.path));
      }
      if (!TRY(Complete(directory, name, found))) continue;
      if (found.entry.kind == TreeEntry::Kind::kDirectory) inner.push_back(found.entry.path);
      entries.push_back(std::move(found));
    }
    const std::lock_guard lock(mutex_);
    std::move(entries.begin(), entries.end(), std::back_inserter(tree_.entries));
    std::move(inner.begin(), inner.end(), std::back_inserter(next_));
    std::move(mounts.begin(), mounts.end(), std::back_inserter(tree_.mounts));
    if (tree_.entries.size() <= limits::kFilesPerSnapshotMax) return {};
    return Fail(ErrorKind::kUnsupported, fmt::format("{} has more than {} files and directories", tree_.path,
                                                     limits::kFilesPerSnapshotMax));
  }

  const Fd& root_;
  const WalkedTree* before_;
  int64_t before_ns_;
  uint64_t mount_ = 0;
  Fd top_;
  std::mutex mutex_;  // of what follows, while a level is listed
  WalkedTree tree_;
  std::vector<std::string> next_;
};

}  // namespace

Result<WalkedTree> WalkTree(const Fd& root, const std::string& path, const WalkedTree* before,
                            int64_t before_ns) {
  return Walker(root, path, before, before_ns).Walk();
}

NameInDirectory OpenParent(const Fd& root, const std::string& path) {
  const size_t slash = path.rfind('/');
  NameInDirectory found;
  found.name = slash == std::string::npos ? path : path.substr(slash + 1);
  found.directory.Reset(OpenWithoutLinks(root.get(), slash == std::string::npos ? "" : path.substr(0, slash),
                                         O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return found;
}

}  // namespace holdfast
