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
// that are there: below `root` where they are in one of `trees`. kUnsupported: the snapshot does not hold the
// content of one.
Result<std::vector<FileState>> FilesToCopy(const std::vector<FileState>& files, const std::string& root,
                                           const std::vector<std::string>& trees);

// One mount for each of `trees` (none within another) below `root` and for each other file, whose path there
// is its path in the job. What is not there to be mounted, or mounted over, is made, empty; `made` tells of
// the latter. Of `directory` (which others
// clear away when they like) the job sees instead what is below `root`, and `shared` in it, which it must be
// able to name.
Result<std::vector<BindMount>> MountsOf(const std::string& root, const std::vector<std::string>& trees,
                                        const std::string& directory, const std::string& shared,
                                        std::vector<std::string>& made);

}  // namespace holdfast
