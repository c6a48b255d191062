#include "store/file_io.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/units.h"

namespace holdfast {

Result<Fd> OpenBeneath(int root, const std::string& path, int flags) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC | O_NOFOLLOW);
  if ((flags & O_CREAT) != 0) how.mode = 0600;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof(how));
    if (fd >= 0) return Fd(static_cast<int>(fd));
    if (errno == EINTR || errno == EAGAIN) continue;  // EAGAIN: a rename elsewhere during the walk
    if (errno == ELOOP || errno == ENOTDIR) {         // a link in a folder's place gives either
      return Fail(ErrorKind::kCorrupt, fmt::format("{} is or leads through a symbolic link", path))
          .WithHint("a store has none: find out who put it there");
    }
    if (errno == ENOSPC || errno == EDQUOT) return WriteError(errno, root, 0, path);
    return FailErrno("open " + path);
  }
}

Result<Fd> OpenFileToRead(int root, const std::string& path) {
  // O_NONBLOCK: a FIFO in a file's place must not hold us up.
  Fd fd = TRY(OpenBeneath(root, path, O_RDONLY | O_NONBLOCK));
  const struct stat status = TRY(StatFd(fd.get(), path));
  if (!S_ISREG(status.st_mode)) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} is not a regular file", path));
  }
  return fd;
}

Result<Fd> OpenFolder(int root, const std::string& path) {
  return OpenBeneath(root, path, O_RDONLY | O_DIRECTORY);
}

Result<Fd> OpenOrMakeFolder(int root, const std::string& path) {
  Result<Fd> there = OpenFolder(root, path);
  if (there || there.error().kind != ErrorKind::kNotFound) return there;
  const auto [parent_path, name] = SplitPath(path);
  const Fd parent = TRY(OpenFolder(root, parent_path));
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) {
    return WriteError(errno, parent.get(), 0, "make folder " + path);
  }
  Fd fd = TRY(OpenFolder(root, path));
  if (::fchmod(fd.get(), 0700) != 0) return FailErrno("chmod " + path);
  TRY(SyncFd(parent.get(), parent_path));
  return fd;
}

PathParts SplitPath(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

Result<void> WriteAll(int fd, uint64_t offset, std::span<const std::byte> data, const std::string& what) {
  while (!data.empty()) {
    const ssize_t done = ::pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      return WriteError(errno, fd, data.size(), "write " + what);
    }
    offset += static_cast<uint64_t>(done);
    data = data.subspan(static_cast<size_t>(done));
  }
  return {};
}

Result<void> ReadAll(int fd, uint64_t offset, std::span<std::byte> out, const std::string& what) {
  while (!out.empty()) {
    const ssize_t done = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      return FailErrno(fmt::format("read {} at {}", what, offset));
    }
    if (done == 0) {
      return Fail(ErrorKind::kCorrupt,
                  fmt::format("{} ends at {}, {} bytes too early", what, offset, out.size()));
    }
    offset += static_cast<uint64_t>(done);
    out = out.subspan(static_cast<size_t>(done));
  }
  return {};
}

Result<struct stat> StatFd(int fd, const std::string& what) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return FailErrno("stat " + what);
  return status;
}

Result<void> SyncFd(int fd, const std::string& what) {
  if (::fsync(fd) != 0) return WriteError(errno, fd, 0, "fsync " + what);
  return {};
}

Error WriteError(int error_number, int fd, uint64_t needed_bytes, const std::string& what) {
  Error error = FailErrno(error_number, what);
  if (error_number == EFBIG) error.kind = ErrorKind::kNoSpace;
  if (error.kind != ErrorKind::kNoSpace) return error;
  struct statvfs space = {};
  const bool known = ::fstatvfs(fd, &space) == 0;
  const std::string needed =
      needed_bytes == 0 ? "a little more space" : FormatBytes(needed_bytes) + " for this write alone";
  const std::string there =
      known ? FormatBytes(space.f_bavail * space.f_frsize) + " are free" : "none is free";
  return std::move(error).WithHint(fmt::format(
      "the store needs {}, {}: remove snapshots (holdfast prune, holdfast rm) or enlarge the file system",
      needed, there));
}

bool SameFile(int fd, int folder, const std::string& name) {
  struct stat open_file = {};
  struct stat named = {};
  return ::fstat(fd, &open_file) == 0 && ::fstatat(folder, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
}

std::string RandomHex(size_t bytes) {
  std::vector<unsigned char> random(bytes);
  // At most 256 bytes: cannot fail and cannot be short once the kernel's pool is ready.
  while (::getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
  }
  std::string text;
  text.reserve(2 * bytes);
  for (const unsigned char byte : random) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace holdfast
