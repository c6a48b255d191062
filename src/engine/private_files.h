// Files of a job that are its own although they have the same names as others': copies below a directory of
// ours, mounted over the originals in the job's mount namespace.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/namespace_init.h"
#include "store/manifest.h"

namespace holdfast {

// Those of `files` that a job with private files must have copies of: all but those that it only reads and
// that are there. kUnsupported: the snapshot does not hold the content of one.
Result<std::vector<FileState>> FilesToCopy(const std::vector<FileState>& files);

// One mount for each of `trees` below `root` and for each other file, whose path there is its path in the
// job. What is not there to be mounted over is made, empty; `made` tells of it. Of `directory` (which others
// clear away when they like) the job sees instead what is below `root`, and `shared` in it, which it must be
// able to name.
Result<std::vector<BindMount>> MountsOf(const std::string& root, const std::vector<FileTree>& trees,
                                        const std::string& directory, const std::string& shared,
                                        std::vector<std::string>& made);

}  // namespace holdfast
