// An upload is a file KEY.X.partial that its writer holds locked (flock): the kernel drops the lock when the
// writer dies, so whoever gets it knows that the file is nobody's.
#include "store/directory_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "store/file_io.h"
#include "store/format.h"

namespace holdfast {
namespace {

constexpr uint64_t kWritebackBytes = 16ull << 20;
constexpr int kCreateTriesMax = 100;

// renameat2(RENAME_NOREPLACE), or link and unlink on file systems that lack it (NFS). 0 or errno.
int RenameNoReplace(int folder, const std::string& from, const std::string& to) {
  if (::renameat2(folder, from.c_str(), folder, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return errno;
  if (::linkat(folder, from.c_str(), folder, to.c_str(), 0) != 0) return errno;
  ::unlinkat(folder, from.c_str(), 0);  // failing leaves a second name, which collection removes
  return 0;
}

class DirectoryUpload final : public Upload {
 public:
  static Result<std::unique_ptr<DirectoryUpload>> Start(int root, const std::string& key) {
    const auto [folder_path, name] = SplitPath(key);
    auto upload = std::make_unique<DirectoryUpload>();
    upload->folder_ = TRY(OpenOrMakeFolder(root, folder_path));
    upload->key_ = key;
    upload->name_ = name;
    for (int tries = 0; tries < kCreateTriesMax; ++tries) {
      const std::string partial = fmt::format("{}.{}{}", name, RandomHex(8), format::kPartialSuffix);
      Fd fd = TRY(OpenBeneath(upload->folder_.get(), partial, O_RDWR | O_CREAT | O_EXCL));
      if (::flock(fd.get(), LOCK_EX) != 0) {
        const int lock_errno = errno;
        ::unlinkat(upload->folder_.get(), partial.c_str(), 0);
        return FailErrno(lock_errno, "lock " + partial);
      }
      // A collector may have been faster than our lock.
      if (!SameFile(fd.get(), upload->folder_.get(), partial)) continue;
      upload->fd_ = std::move(fd);
      upload->partial_ = partial;
      if (::fchmod(upload->fd_.get(), 0600) != 0) return FailErrno("chmod " + partial);
      return upload;
    }
    return Fail(ErrorKind::kInternal,
                fmt::format("could not keep a new file for {} in {} tries", key, kCreateTriesMax));
  }

  ~DirectoryUpload() override {
    if (!partial_.empty()) ::unlinkat(folder_.get(), partial_.c_str(), 0);
  }

  Result<void> WriteAt(uint64_t offset, std::span<const std::byte> data) override {
    TRY(WriteAll(fd_.get(), offset, data, key_));
    // Start writing back early, so that the disk works while we compress and Seal has little left to wait
    // for.
    const uint64_t before = written_.fetch_add(data.size(), std::memory_order_relaxed);
    if (before / kWritebackBytes != (before + data.size()) / kWritebackBytes) {
      // A hint: not every file system knows it, and Seal reports what fails.
      ::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    }
    return {};
  }

  Result<void> Seal() override { return SyncFd(fd_.get(), key_); }

  Result<void> Publish() override {
    const int rename_errno = RenameNoReplace(folder_.get(), partial_, name_);
    if (rename_errno == EEXIST) return Fail(ErrorKind::kExists, key_ + " exists already");
    if (rename_errno != 0) return WriteError(rename_errno, folder_.get(), 0, "name " + key_);
    partial_.clear();
    Result<void> synced = SyncFd(folder_.get(), "the folder of " + key_);
    if (!synced) ::unlinkat(folder_.get(), name_.c_str(), 0);  // not durable: then rather not there at all
    return synced;
  }

  Result<void> PublishOver() {
    if (::renameat(folder_.get(), partial_.c_str(), folder_.get(), name_.c_str()) != 0) {
      return WriteError(errno, folder_.get(), 0, "name " + key_);
    }
    partial_.clear();
    return SyncFd(folder_.get(), "the folder of " + key_);
  }

 private:
  Fd folder_;
  Fd fd_;
  std::string key_;
  std::string name_;
  std::string partial_;  // empty once published
  std::atomic<uint64_t> written_ = 0;
};

class DirectoryObject final : public Object {
 public:
  DirectoryObject(Fd fd, std::string key, uint64_t bytes)
      : fd_(std::move(fd)), key_(std::move(key)), bytes_(bytes) {}

  uint64_t bytes() const override { return bytes_; }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    return ReadAll(fd_.get(), offset, out, key_);
  }

 private:
  Fd fd_;
  std::string key_;
  uint64_t bytes_;
};

struct Entry {
  std::string name;
  struct stat status = {};
};

// Everything in a folder but ".", ".." and hidden names, sorted.
Result<std::vector<Entry>> ReadFolder(int root, const std::string& path) {
  std::vector<Entry> entries;
  Result<Fd> folder = OpenFolder(root, path);
  if (!folder) {
    if (folder.error().kind == ErrorKind::kNotFound) return entries;
    return std::move(folder).error();
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(folder->get()), &::closedir);
  if (stream == nullptr) return FailErrno("read folder " + path);
  const int folder_fd = folder->Release();  // the stream closes it
  for (;;) {
    errno = 0;
    const struct dirent* found =
        ::readdir(stream.get());  // NOLINT(concurrency-mt-unsafe): the stream is ours
    if (found == nullptr) break;
    Entry entry{found->d_name, {}};
    if (entry.name.starts_with('.')) continue;
    if (::fstatat(folder_fd, entry.name.c_str(), &entry.status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;  // gone since
      return FailErrno(fmt::format("stat {}/{}", path, entry.name));
    }
    entries.push_back(std::move(entry));
  }
  if (errno != 0) return FailErrno("read folder " + path);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

std::string FolderPath(std::string_view folder) {
  if (folder.ends_with('/')) folder.remove_suffix(1);
  return folder.empty() ? "." : std::string(folder);
}

class DirectoryBackend final : public Backend {
 public:
  explicit DirectoryBackend(Fd root) : root_(std::move(root)) {}

  Result<std::unique_ptr<Upload>> StartUpload(const std::string& key) override {
    return TRY(DirectoryUpload::Start(root_.get(), key));
  }

  Result<std::unique_ptr<Object>> Open(const std::string& key) const override {
    Fd fd = TRY(OpenFileToRead(root_.get(), key));
    const struct stat status = TRY(StatFd(fd.get(), key));
    return std::make_unique<DirectoryObject>(std::move(fd), key, static_cast<uint64_t>(status.st_size));
  }

  Result<void> Create(const std::string& key, std::span<const std::byte> content) override {
    const std::unique_ptr<DirectoryUpload> upload = TRY(Written(key, content));
    return upload->Publish();
  }

  Result<void> Replace(const std::string& key, std::span<const std::byte> content) override {
    const std::unique_ptr<DirectoryUpload> upload = TRY(Written(key, content));
    return upload->PublishOver();
  }

  Result<void> Delete(const std::string& key) override {
    const auto [folder_path, name] = SplitPath(key);
    const Fd folder = TRY(OpenFolder(root_.get(), folder_path));
    if (::unlinkat(folder.get(), name.c_str(), 0) != 0) return FailErrno("remove " + key);
    return SyncFd(folder.get(), folder_path);
  }

  Result<std::vector<ObjectInfo>> List(const std::string& folder) const override {
    std::vector<ObjectInfo> objects;
    for (Entry& entry : TRY(ReadFolder(root_.get(), FolderPath(folder)))) {
      if (S_ISDIR(entry.status.st_mode) || entry.name.ends_with(format::kPartialSuffix)) continue;
      objects.push_back({std::move(entry.name), static_cast<uint64_t>(entry.status.st_size)});
    }
    return objects;
  }

  Result<std::vector<std::string>> ListFolders(const std::string& folder) const override {
    std::vector<std::string> folders;
    for (Entry& entry : TRY(ReadFolder(root_.get(), FolderPath(folder)))) {
      if (S_ISDIR(entry.status.st_mode)) folders.push_back(std::move(entry.name));
    }
    return folders;
  }

  Result<std::vector<ObjectInfo>> CollectAbandoned(const std::string& folder, bool dry_run) override {
    std::vector<ObjectInfo> collected;
    const std::string path = FolderPath(folder);
    const std::vector<Entry> entries = TRY(ReadFolder(root_.get(), path));
    if (entries.empty()) return collected;
    const Fd folder_fd = TRY(OpenFolder(root_.get(), path));
    for (const Entry& entry : entries) {
      if (!S_ISREG(entry.status.st_mode) || !entry.name.ends_with(format::kPartialSuffix)) continue;
      Result<Fd> fd = OpenBeneath(folder_fd.get(), entry.name, O_RDWR | O_NONBLOCK);
      if (!fd) {
        if (fd.error().kind == ErrorKind::kNotFound) continue;  // published or dropped since
        return std::move(fd).error();
      }
      if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) continue;  // its writer lives
        return FailErrno("lock " + entry.name);
      }
      // The name may be gone, the file under its final name, since we read the folder.
      if (!SameFile(fd->get(), folder_fd.get(), entry.name)) continue;
      if (!dry_run && ::unlinkat(folder_fd.get(), entry.name.c_str(), 0) != 0 && errno != ENOENT) {
        return FailErrno("remove " + entry.name);
      }
      // A second name of a published object frees nothing.
      collected.push_back(
          {entry.name, entry.status.st_nlink > 1 ? 0 : static_cast<uint64_t>(entry.status.st_size)});
    }
    return collected;
  }

  Result<uint64_t> BytesAvailable() const override {
    struct statvfs space = {};
    if (::fstatvfs(root_.get(), &space) != 0) return FailErrno("statvfs of the store");
    return static_cast<uint64_t>(space.f_bavail) * space.f_frsize;
  }

 private:
  Result<std::unique_ptr<DirectoryUpload>> Written(const std::string& key,
                                                   std::span<const std::byte> content) {
    std::unique_ptr<DirectoryUpload> upload = TRY(DirectoryUpload::Start(root_.get(), key));
    TRY(upload->WriteAt(0, content));
    TRY(upload->Seal());
    return upload;
  }

  Fd root_;
};

}  // namespace

std::unique_ptr<Backend> MakeDirectoryBackend(Fd root) {
  return std::make_unique<DirectoryBackend>(std::move(root));
}

}  // namespace holdfast
