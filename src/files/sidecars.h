// Files that the job has not open, found by name in the job's own root: beside a database, in a tree.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "files/tracked_file.h"

namespace holdfast {

// Nothing when there is no such regular file. Symbolic links are not followed. Not settled.
Result<std::optional<TrackedFile>> TrackByName(pid_t pid, const std::string& path);

// Opens `path` below the directory `root`, refusing symbolic links in any of its parts: a path that the
// kernel named has none. -1 and errno on failure (ELOOP: there is a link).
int OpenWithoutLinks(int root, const std::string& path, int flags, unsigned mode = 0);

}  // namespace holdfast
