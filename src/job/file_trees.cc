#include "job/file_trees.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "base/limits.h"
#include "base/paths.h"
#include "engine/engine.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

// Nothing that a snapshot could put back, or everything.
bool IsSystem(const std::string& path) {
  constexpr std::array<const char*, 3> kSystem = {"/proc", "/sys", "/dev"};
  return path == "/" ||
         std::any_of(kSystem.begin(), kSystem.end(), [&](const char* one) { return IsWithin(path, one); });
}

Error NoDirectory(const std::string& named) {
  return Fail(ErrorKind::kNotFound, "--files: there is no directory " + named)
      .WithHint("make it first: mkdir -p " + named);
}

Result<void> RefuseSystem(const std::string& path) {
  if (!IsSystem(path) || IsWithin(path, "/dev/shm")) return {};
  return Fail(ErrorKind::kUsage, "--files: " + path + " cannot be in a snapshot")
      .WithHint("name the directory that the job writes to");
}

Result<std::string> FindFileTree(const std::string& named) {
  std::error_code error;
  const fs::path path = fs::canonical(named, error);
  if (error || !fs::is_directory(path, error)) return NoDirectory(named);
  TRY(RefuseSystem(path.string()));
  return path.string();
}

// Sorted, and without those that are in another one.
std::vector<std::string> WithoutInner(std::vector<std::string> paths) {
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> outer;
  for (std::string& one : paths) {
    const auto within = [&one](const std::string& other) { return IsWithin(one, other); };
    if (std::none_of(outer.begin(), outer.end(), within)) outer.push_back(std::move(one));
  }
  return outer;
}

// Nothing of the container may lead out of its root.
Result<void> CheckInContainer(const std::string& path, pid_t init_pid) {
  const fs::path root = "/proc/" + std::to_string(init_pid) + "/root";
  fs::path walked;
  for (const fs::path& name : fs::path(path).relative_path()) {
    walked /= name;
    std::error_code error;
    const fs::file_status status = fs::symlink_status(root / walked, error);
    if (fs::is_symlink(status)) {
      return Fail(ErrorKind::kUnsupported, "--files: " + path + " is or lies behind a symbolic link")
          .WithHint("name the directory itself");
    }
    if (!fs::is_directory(status)) return NoDirectory(path).Within("in the container");
  }
  return {};
}

Result<std::vector<std::string>> WithoutTooMany(std::vector<std::string> paths) {
  if (paths.size() > limits::kTreesPerSnapshotMax) {
    return Fail(ErrorKind::kUsage, "--files: more directories than a snapshot can hold")
        .WithHint("name one that they are all in");
  }
  return WithoutInner(std::move(paths));
}

}  // namespace

Result<std::vector<std::string>> FindContainerTrees(const std::vector<std::string>& named, pid_t init_pid) {
  std::vector<std::string> found;
  for (const std::string& one : named) {
    if (one.empty()) continue;
    std::string path = fs::path(one).lexically_normal().string();
    if (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (!path.starts_with('/')) {
      return Fail(ErrorKind::kUsage, "--files: " + one + " is no absolute path in the container");
    }
    TRY(RefuseSystem(path));
    if (init_pid != 0) TRY(CheckInContainer(path, init_pid));
    found.push_back(std::move(path));
  }
  return WithoutTooMany(std::move(found));
}

Result<std::vector<std::string>> FindFileTrees(const std::vector<std::string>& named, const Store& store) {
  std::vector<std::string> found;
  for (const std::string& one : named) {
    if (!one.empty()) found.push_back(TRY(FindFileTree(one)));
  }
  const std::vector<std::string> outer = TRY(WithoutTooMany(std::move(found)));
  TRY(RefuseTreesAround(store, outer));
  return outer;
}

Result<void> RefuseToDropPrivateTrees(const JobRecord& record, const std::vector<std::string>& trees) {
  for (const std::string& one : record.private_trees) {
    if (std::find(trees.begin(), trees.end(), one) != trees.end()) continue;
    return Fail(ErrorKind::kUnsupported, "--files: '" + record.name + "' is a clone and has " + one +
                                             " as a directory of its own, which stays in its snapshots")
        .WithHint("name it, too, and none that it is in: --files " + one);
  }
  return {};
}

bool AddPrivateTrees(JobRecord& record, const std::vector<FileTree>& trees) {
  std::vector<std::string> all = record.private_trees;
  for (const FileTree& tree : trees) all.push_back(tree.path);
  all = WithoutInner(std::move(all));
  return std::exchange(record.private_trees, all) != all;
}

}  // namespace holdfast
