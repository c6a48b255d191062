// Directories that a user names with --files.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "job/job_record.h"
#include "store/manifest.h"
#include "store/store.h"

namespace holdfast {

// Absolute and without symbolic links, sorted, none within another: CheckpointOptions::file_trees. An empty
// name stands for none. kNotFound: there is no such directory. kUsage: one that no snapshot can hold.
Result<std::vector<std::string>> FindFileTrees(const std::vector<std::string>& named, const Store& store);

// The same of a container's directories, in its own root file system; none may be in what is mounted there.
// `init_pid` 0: it does not run, and is not looked into.
Result<std::vector<std::string>> FindContainerTrees(const std::vector<std::string>& named, pid_t init_pid);

// A job with private files goes on in its own copies of record.private_trees; named ones that leave one out
// would send it into the original's directory. kUnsupported: `trees` (see FindFileTrees) are such ones.
Result<void> RefuseToDropPrivateTrees(const JobRecord& record, const std::vector<std::string>& trees);

// Makes those of `trees` that are in none of record.private_trees a part of them. Returns whether there are
// any.
bool AddPrivateTrees(JobRecord& record, const std::vector<FileTree>& trees);

}  // namespace holdfast
