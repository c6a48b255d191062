#include "engine/private_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/paths.h"
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

Result<std::vector<FileState>> FilesToCopy(const std::vector<FileState>& files, const std::string& root,
                                           const std::vector<std::string>& trees) {
  std::vector<FileState> copied;
  for (const FileState& file : files) {
    std::error_code error;
    const bool in_tree = std::any_of(trees.begin(), trees.end(),
                                     [&](const std::string& tree) { return IsWithin(file.path, tree); });
    const std::string seen = in_tree ? root + file.path : file.path;
    if (file.only_if_missing && std::filesystem::is_regular_file(seen, error)) continue;
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

Result<std::vector<BindMount>> MountsOf(const std::string& root, const std::vector<std::string>& trees,
                                        const std::string& directory, const std::string& shared,
                                        std::vector<std::string>& made) {
  std::vector<BindMount> mounts;
  std::set<std::string> whole = {directory};
  std::error_code error;
  for (const std::string& tree : trees) {
    // Also where the user took it away: without the mount the job would go on in the others' directory.
    std::filesystem::create_directories(root + tree, error);
    if (error) return FailErrno(error.value(), "cannot make " + root + tree);
    if (std::filesystem::create_directories(tree, error))
      made.push_back(tree + ": made, empty, for the job's own directory to be mounted over");
    if (error) return FailErrno(error.value(), "cannot make " + tree);
    mounts.push_back({root + tree, tree});
    whole.insert(tree);
  }
  auto entry = std::filesystem::recursive_directory_iterator(root, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
    const std::string target = "/" + entry->path().lexically_relative(root).string();
    if (whole.contains(target)) entry.disable_recursion_pending();
    if (entry->is_symlink() || !entry->is_regular_file()) continue;
    if (TRY(MakePlaceholder(target)))
      made.push_back(target + ": made, empty, for the job's own file to be mounted over");
    mounts.push_back({entry->path().string(), target});
  }
  if (error) return FailErrno(error.value(), "cannot list " + root);
  // Last: it hides where the others come from.
  const std::string place = root + shared;
  std::filesystem::create_directories(place, error);
  if (error) return FailErrno(error.value(), "cannot make " + place);
  mounts.push_back({shared, place});
  mounts.push_back({root + directory, directory});
  return mounts;
}

}  // namespace holdfast
