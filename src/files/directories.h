// The directories that a restart needs: above the files that are kept, where Unix sockets are bound, where
// the processes stand, and those that they have open. Programs make them for a while (a temporary directory
// with a socket in it) and may have removed them when the job is killed.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "store/manifest.h"

namespace holdfast {

// An absolute path as process `pid` sees it.
struct SeenPath {
  pid_t pid = 0;
  std::string path;
};

// Every directory on the way to one of `files`, and to what else `pids` need; outer ones first. Fast enough
// for a freeze. One that cannot be looked at is left out.
std::vector<DirectoryState> FindDirectories(const std::vector<pid_t>& pids,
                                            const std::vector<SeenPath>& files);

// Makes those that are missing below `root`, with mode and owner; what is there is left as it is. One
// sentence each.
Result<std::vector<std::string>> MakeMissingDirectories(const Fd& root,
                                                        const std::vector<DirectoryState>& directories);

}  // namespace holdfast
