// Storing the content of files while the job runs, and taking over what the parent snapshot has of it.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "files/file_blocks.h"
#include "files/found_files.h"
#include "files/tracked_file.h"
#include "store/store.h"

namespace holdfast {

// Stores the blocks of `range` of `file`, as they are now, into `file.stored`, which has room for them. Where
// the file is shorter by now, or not readable after all, nothing is stored: the frozen pass sees to it.
// Threads may share the file, each with its own range.
Result<void> StoreBlocks(PendingSnapshot& pending, TrackedFile& file, const BlockRange& range);

// The files of the parent snapshot by which unchanged ones are known, without being read.
class ParentFiles {
 public:
  // `parent`: the one that `pending` was begun with, or null; outlives this. Requires: taken in this boot,
  // because content that was in memory only may be lost in a crash, and the times kept.
  ParentFiles(const Manifest* parent, PendingSnapshot& pending);
  // When the parent has just this file, as its inode, size and times tell, fills in `file.stored` and says
  // so.
  Result<bool> TakeOver(TrackedFile& file) const;

 private:
  const Manifest* parent_;
  PendingSnapshot& pending_;
  std::map<std::string, const FileState*> by_path_;
};

}  // namespace holdfast
