// Where directories that belong to snapshots may not be.
#include <fmt/format.h>

#include <filesystem>

#include "base/paths.h"
#include "engine/engine.h"

namespace holdfast {

Result<void> RefuseTreesAround(const Store& store, const std::vector<std::string>& file_trees) {
  std::error_code error;
  const std::filesystem::path canonical = std::filesystem::canonical(store.directory(), error);
  const std::string directory = error ? store.directory().string() : canonical.string();
  for (const std::string& tree : file_trees) {
    if (!IsWithin(directory, tree) && !IsWithin(tree, directory)) continue;
    const bool around = IsWithin(directory, tree);
    return Fail(ErrorKind::kUsage, fmt::format("the store {} is in {}, which its snapshots are to hold",
                                               around ? directory : tree, around ? tree : directory))
        .WithHint("keep the store elsewhere (--store), or name directories beside it with --files");
  }
  return {};
}

}  // namespace holdfast
