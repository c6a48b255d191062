#include "files/directories.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <map>
#include <set>

#include "files/sidecars.h"
#include "linux/proc.h"
#include "linux/sockets.h"

namespace holdfast {
namespace {

// What is there without anybody's doing: the root, and what only looks like directories.
bool IsAlwaysThere(const std::string& path) {
  return path == "/" || path == "/proc" || path == "/sys" || path.starts_with("/proc/") ||
         path.starts_with("/sys/");
}

class DirectoryFinder {
 public:
  // Adds the directories above `path`.
  void AddAbove(const SeenPath& seen) {
    const std::string root = fmt::format("/proc/{}/root", seen.pid);
    std::string path = seen.path;
    for (size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0; slash = path.rfind('/')) {
      path.resize(slash);
      if (!Add(root, path)) return;
    }
  }
  // Adds `path` too, which is a directory.
  void AddDirectory(const SeenPath& seen) {
    if (Add(fmt::format("/proc/{}/root", seen.pid), seen.path)) AddAbove(seen);
  }

  std::vector<DirectoryState> Take() {
    std::vector<DirectoryState> directories;
    for (auto& [path, state] : known_) directories.push_back(std::move(state));
    return directories;
  }

 private:
  // False when it, and so all above it, is known already.
  bool Add(const std::string& root, const std::string& path) {
    if (known_.contains(path) || IsAlwaysThere(path)) return false;
    struct stat status {};
    if (::lstat((root + path).c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
      known_[path] = {path, status.st_mode & 07777, status.st_uid, status.st_gid};
    }
    return true;
  }

  std::map<std::string, DirectoryState> known_;  // a directory's path sorts before those in it
};

void AddSocketDirectories(const std::vector<pid_t>& pids, DirectoryFinder& finder) {
  std::map<uint64_t, pid_t> holders;
  for (const pid_t pid : pids) {
    for (const uint64_t inode : ReadOpenSockets(pid).value_or(std::vector<uint64_t>{})) holders[inode] = pid;
  }
  if (holders.empty()) return;
  const Result<std::map<uint64_t, UnixSocket>> sockets = ReadUnixSockets(pids.front());
  if (!sockets) return;
  for (const auto& [inode, pid] : holders) {
    const auto socket = sockets->find(inode);
    if (socket != sockets->end() && socket->second.path.starts_with('/'))
      finder.AddAbove({pid, socket->second.path});
  }
}

}  // namespace

std::vector<DirectoryState> FindDirectories(const std::vector<pid_t>& pids,
                                            const std::vector<SeenPath>& files) {
  DirectoryFinder finder;
  for (const SeenPath& file : files) finder.AddAbove(file);
  for (const pid_t pid : pids) {
    if (const Result<std::string> here = ReadWorkingDirectory(pid)) finder.AddDirectory({pid, *here});
    for (const OpenFile& file : ReadOpenPaths(pid).value_or(std::vector<OpenFile>{})) {
      if (S_ISDIR(file.mode)) finder.AddDirectory({pid, file.target});
    }
  }
  AddSocketDirectories(pids, finder);
  return finder.Take();
}

Result<std::vector<std::string>> MakeMissingDirectories(const Fd& root,
                                                        const std::vector<DirectoryState>& directories) {
  std::vector<std::string> made;
  for (const DirectoryState& directory : directories) {
    const std::filesystem::path path(directory.path);
    const std::string name = path.filename().string();
    const Fd parent(
        OpenWithoutLinks(root.get(), path.parent_path().string(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    // Behind a link that was not there before: whether a file may be put there is decided for each file.
    if (!parent.valid() || ::mkdirat(parent.get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST || errno == ELOOP || errno == ENOTDIR) continue;
      return FailErrno("cannot make the directory " + directory.path + " again");
    }
    if (::fchownat(parent.get(), name.c_str(), directory.uid, directory.gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        ::fchmodat(parent.get(), name.c_str(), directory.mode, 0) != 0) {
      return FailErrno("cannot give the directory " + directory.path + " its owner and mode");
    }
    made.push_back(fmt::format("{}: made again; it was gone", directory.path));
  }
  return made;
}

}  // namespace holdfast
