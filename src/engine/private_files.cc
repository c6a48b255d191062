#include "engine/private_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "base/units.h"

namespace holdfast {
namespace {

// Returns whether it had to be made.
Result<bool> MakePlaceholder(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISREG(status.st_mode)) return false;
    return Fail(ErrorKind::kUnsupported,
                path.string() + " is not a regular file: a private one cannot take its place");
  }
  if (errno != ENOENT) return FailErrno("cannot look at " + path.string());
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return FailErrno(error.value(), "cannot make " + path.parent_path().string());
  const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.valid()) return FailErrno("cannot make " + path.string());
  return true;
}

}  // namespace

Result<std::vector<FileState>> FilesToCopy(const std::vector<FileState>& files) {
  std::vector<FileState> copied;
  for (const FileState& file : files) {
    std::error_code error;
    if (file.only_if_missing && std::filesystem::is_regular_file(file.path, error)) continue;
    if (!file.content_kept) {
      return Fail(
          ErrorKind::kUnsupported,
          fmt::format(
              "the snapshot does not hold the content of {} ({}), so the job cannot have a copy of its "
              "own",
              file.path, FormatBytes(file.bytes)));
    }
    copied.push_back(file);
  }
  return copied;
}

Result<std::vector<BindMount>> MountsOf(const std::string& root, const std::vector<FileTree>& trees,
                                        std::vector<std::string>& made) {
  std::vector<BindMount> mounts;
  std::error_code error;
  for (const FileTree& tree : trees) {
    if (!std::filesystem::is_directory(root + tree.path, error))
      continue;  // one that is set aside by the user
    if (std::filesystem::create_directories(tree.path, error))
      made.push_back(tree.path + ": made, empty, for the job's own directory to be mounted over");
    if (error) return FailErrno(error.value(), "cannot make " + tree.path);
    mounts.push_back({root + tree.path, tree.path});
  }
  const size_t tree_mounts = mounts.size();
  for (auto at = std::filesystem::recursive_directory_iterator(root, error);
       at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    const std::filesystem::directory_entry& entry = *at;
    const std::string target = "/" + entry.path().lexically_relative(root).string();
    const auto is_tree = [&target](const BindMount& mount) { return mount.target == target; };
    if (std::any_of(mounts.begin(), mounts.begin() + static_cast<ptrdiff_t>(tree_mounts), is_tree)) {
      at.disable_recursion_pending();
      continue;
    }
    if (entry.is_symlink() || !entry.is_regular_file()) continue;
    if (TRY(MakePlaceholder(target)))
      made.push_back(target + ": made, empty, for the job's own file to be mounted over");
    mounts.push_back({entry.path().string(), target});
  }
  if (error) return FailErrno(error.value(), "cannot list " + root);
  return mounts;
}

}  // namespace holdfast
