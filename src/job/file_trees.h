// Directories that a user names with --files.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

// Absolute and without symbolic links, sorted, none within another: CheckpointOptions::file_trees. An empty
// name stands for none. kNotFound: there is no such directory. kUsage: one that no snapshot can hold.
Result<std::vector<std::string>> FindFileTrees(const std::vector<std::string>& named, const Store& store);

}  // namespace holdfast
