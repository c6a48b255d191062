#include "job/file_trees.h"

#include <algorithm>
#include <array>
#include <filesystem>

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
  std::sort(found.begin(), found.end());
  std::vector<std::string> outer;
  for (const std::string& one : found) {
    const auto within = [&one](const std::string& other) { return IsWithin(one, other); };
    if (std::none_of(outer.begin(), outer.end(), within)) outer.push_back(one);
  }
  TRY(RefuseTreesAround(store, outer));
  return outer;
}

}  // namespace holdfast
