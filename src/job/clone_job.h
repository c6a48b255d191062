// `holdfast clone`: a branch of a job, which runs beside it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

struct SetFile {
  std::string path;  // relative: to where the job's first process stands
  std::string content;
};

// kAuto: its own where it could not be beside its original in one network, or the original has its own.
enum class CloneNetwork { kAuto, kOwn, kShared };

struct MadeClone {
  SnapshotId snapshot;  // its first
  // Sentences for the user, where there is something to know.
  std::vector<std::string> about_network;
};

// Makes the job `name` with one snapshot, which holds what `original` holds; `holdfast resume` starts it. In
// namespaces of its own, with its own copies of the files that belong to the snapshot and of those set here:
// the original's are not touched. kExists: the name is taken. On error nothing is left.
Result<MadeClone> MakeClone(Store& store, const SnapshotId& original, const std::string& name,
                            const std::vector<SetFile>& set_files, CloneNetwork network);

}  // namespace holdfast
