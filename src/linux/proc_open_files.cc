// /proc/PID/fd and fdinfo.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/fd.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {

namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// "pos:\t0\nflags:\t0100002\n..." Only the head is read: an epoll or inotify descriptor lists all it watches.
Result<void> ReadFdinfoHead(int directory, const std::string& name, const std::string& path, OpenFile& file) {
  const Fd fdinfo(::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fdinfo.valid()) return FailErrno("cannot open " + path);
  std::array<char, 256> buffer{};
  const ssize_t got = ::read(fdinfo.get(), buffer.data(), buffer.size());
  if (got < 0) return FailErrno("cannot read " + path);
  std::string_view text(buffer.data(), static_cast<size_t>(got));
  std::string_view first = TakeLine(text);
  std::string_view second = TakeLine(text);
  if (TakeWord(first) != "pos:" || TakeWord(second) != "flags:") {
    return Fail(ErrorKind::kInternal, path + " makes no sense");
  }
  const auto position = ParseNumber<int64_t>(TakeWord(first));
  const auto flags = ParseNumber<uint32_t>(TakeWord(second), 8);
  if (!position || !flags) return Fail(ErrorKind::kInternal, path + " makes no sense");
  file.position = static_cast<uint64_t>(*position);
  file.flags = *flags;
  return {};
}

enum class Wanted { kAll, kPaths, kPipes };

bool IsWanted(Wanted wanted, std::string_view target) {
  return wanted == Wanted::kAll || target.starts_with(wanted == Wanted::kPaths ? "/" : "pipe:[");
}

// Nothing for a descriptor that is not wanted.
Result<std::optional<OpenFile>> ReadOpenFile(pid_t pid, int fds, int fdinfos, const std::string& name,
                                             Wanted wanted) {
  const std::string path = ProcPath(pid, "fd/") + name;
  OpenFile file;
  file.fd = ParseNumber<int>(name).value_or(-1);
  file.target = TRY(ReadLinkAt(fds, name.c_str(), path));
  if (!IsWanted(wanted, file.target)) return std::nullopt;
  struct stat status {};
  if (::fstatat(fds, name.c_str(), &status, 0) != 0) return FailErrno("cannot look at " + path);
  file.mode = status.st_mode;
  file.device = status.st_dev;
  file.inode = status.st_ino;
  file.special_device = status.st_rdev;
  file.bytes = static_cast<uint64_t>(status.st_size);
  file.link_count = status.st_nlink;
  file.mtime_ms = int64_t{status.st_mtim.tv_sec} * 1000 + status.st_mtim.tv_nsec / 1'000'000;
  TRY(ReadFdinfoHead(fdinfos, name, ProcPath(pid, "fdinfo/") + name, file));
  return file;
}

Result<std::vector<OpenFile>> ReadWanted(pid_t pid, Wanted wanted) {
  const std::string path = ProcPath(pid, "fd");
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) return FailErrno("cannot list " + path);
  const std::string fdinfo_path = ProcPath(pid, "fdinfo");
  const Fd fdinfos(::open(fdinfo_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fdinfos.valid()) return FailErrno("cannot open " + fdinfo_path);

  std::vector<OpenFile> files;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (!ParseNumber<int>(name)) continue;
    Result<std::optional<OpenFile>> file =
        ReadOpenFile(pid, ::dirfd(directory.get()), fdinfos.get(), name, wanted);
    if (!file) {
      if (file.error().kind == ErrorKind::kNotFound) continue;  // closed meanwhile
      return std::move(file).error();
    }
    if (*file) files.push_back(**std::move(file));
  }
  if (errno != 0) return FailErrno("cannot list " + path);
  std::sort(files.begin(), files.end(), [](const OpenFile& a, const OpenFile& b) { return a.fd < b.fd; });
  return files;
}

// "socket:[123]" -> 123
std::optional<uint64_t> SocketInode(std::string_view target) {
  constexpr std::string_view kPrefix = "socket:[";
  if (!target.starts_with(kPrefix) || !target.ends_with(']')) return std::nullopt;
  target.remove_prefix(kPrefix.size());
  target.remove_suffix(1);
  return ParseNumber<uint64_t>(target);
}

}  // namespace

Result<std::vector<uint64_t>> ReadOpenSockets(pid_t pid) {
  const std::string path = ProcPath(pid, "fd");
  const std::unique_ptr<DIR, CloseDirectory> directory(::opendir(path.c_str()));
  if (!directory) return FailErrno("cannot list " + path);
  std::vector<uint64_t> inodes;
  while (const dirent* entry = ::readdir(directory.get())) {
    const Result<std::string> target = ReadLinkAt(::dirfd(directory.get()), entry->d_name, path);
    const std::optional<uint64_t> inode = target ? SocketInode(*target) : std::nullopt;
    if (inode) inodes.push_back(*inode);
  }
  return inodes;
}

Result<std::vector<OpenFile>> ReadOpenFiles(pid_t pid) {
  return ReadWanted(pid, Wanted::kAll);
}

Result<std::vector<OpenFile>> ReadOpenPipes(pid_t pid) {
  return ReadWanted(pid, Wanted::kPipes);
}

Result<std::vector<OpenFile>> ReadOpenPaths(pid_t pid) {
  return ReadWanted(pid, Wanted::kPaths);
}

}  // namespace holdfast
