#include "pod/files_that_came.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <utility>

#include "base/fd.h"

namespace holdfast {
namespace {

Fd OpenDirectory(const std::string& rootfs, const std::filesystem::path& path) {
  const Fd root(open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT;
  return Fd(static_cast<int>(syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how)));
}

// Whether it is not there for certain.
bool IsMissing(const std::string& rootfs, const std::filesystem::path& path) {
  const Fd parent = OpenDirectory(rootfs, path.parent_path());
  if (!parent.valid()) return errno == ENOENT;
  struct stat status {};
  return fstatat(parent.get(), path.filename().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

// The path, and every directory above it that is not there.
void AddMissing(const std::string& rootfs, std::filesystem::path path, std::vector<std::string>& missing) {
  for (; path.has_relative_path() && IsMissing(rootfs, path); path = path.parent_path())
    missing.push_back(path.string());
}

void RemoveTree(int parent, const std::string& name) {
  if (unlinkat(parent, name.c_str(), 0) == 0 || (errno != EISDIR && errno != EPERM)) return;
  {
    Fd directory(openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory.valid()) return;
    std::error_code error;
    std::vector<std::string> names;
    const std::filesystem::path here = "/proc/self/fd/" + std::to_string(directory.get());
    for (std::filesystem::directory_iterator entry(here, error), end; !error && entry != end;
         entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    for (const std::string& one : names) RemoveTree(directory.get(), one);
  }
  unlinkat(parent, name.c_str(), AT_REMOVEDIR);
}

}  // namespace

FilesThatCame::FilesThatCame(std::string rootfs, const Manifest& manifest) : rootfs_(std::move(rootfs)) {
  for (const FileState& file : manifest.files) AddMissing(rootfs_, file.path, missing_);
  for (const DirectoryState& directory : manifest.directories) AddMissing(rootfs_, directory.path, missing_);
  for (const FileTree& tree : manifest.trees) AddMissing(rootfs_, tree.path, missing_);
  std::sort(missing_.begin(), missing_.end(), std::greater<>());
  missing_.erase(std::unique(missing_.begin(), missing_.end()), missing_.end());
}

void FilesThatCame::Remove() const {
  for (const std::filesystem::path path : missing_) {
    const Fd parent = OpenDirectory(rootfs_, path.parent_path());
    if (parent.valid()) RemoveTree(parent.get(), path.filename().string());
  }
}

}  // namespace holdfast
