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

Result<std::string> FindFileTree(const std::string& named) {
  std::error_code error;
  const fs::path path = fs::canonical(named, error);
  if (error || !fs::is_directory(path, error)) {
    return Fail(ErrorKind::kNotFound, "--files: there is no directory " + named)
        .WithHint("make it first: mkdir -p " + named);
  }
  if (IsSystem(path.string()) && !IsWithin(path.string(), "/dev/shm")) {
    return Fail(ErrorKind::kUsage, "--files: " + path.string() + " cannot be in a snapshot")
        .WithHint("name the directory that the job writes to");
  }
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

}  // namespace

Result<std::vector<std::string>> FindFileTrees(const std::vector<std::string>& named, const Store& store) {
  std::vector<std::string> found;
  for (const std::string& one : named) {
    if (!one.empty()) found.push_back(TRY(FindFileTree(one)));
  }
  if (found.size() > limits::kTreesPerSnapshotMax) {
    return Fail(ErrorKind::kUsage, "--files: more directories than a snapshot can hold")
        .WithHint("name one that they are all in");
  }
  const std::vector<std::string> outer = WithoutInner(std::move(found));
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
