// Directories that belong to the snapshot with all that is in them. Content is stored while the job runs,
// file by file without holding on to any; in the freeze only names and inodes are looked at.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "files/stored_blocks.h"
#include "files/tree_walk.h"
#include "store/store.h"

namespace holdfast {

class TreeCapture {
 public:
  // `paths`: absolute, as the job sees them, sorted, none within another. References outlive this.
  TreeCapture(const std::vector<std::string>& paths, uint64_t file_bytes_max, const ParentFiles& parent,
              PendingSnapshot& pending)
      : paths_(paths), file_bytes_max_(file_bytes_max), parent_(parent), pending_(pending) {}

  // The job, whose root process is `pid`, runs. Stores the files that are new, or may have changed since the
  // last call, but for `written`: those that somebody has open for writing or mapped, found after `began_ns`.
  Result<void> StoreRunning(pid_t pid, const std::set<FileKey>& written, int64_t began_ns);
  // It stands still: what there is.
  Result<void> WalkFrozen(pid_t pid);

  const std::vector<WalkedTree>& walked() const { return walked_; }
  // Whether its content is stored, and cannot have changed since.
  bool IsStoredAsItIs(const WalkedEntry& entry) const;
  // What is stored of a file; null when nothing is. Its descriptor is not open.
  TrackedFile* Find(const FileKey& key);

 private:
  Result<std::vector<WalkedTree>> Walk(pid_t pid) const;
  Result<bool> TakeOver(const std::string& path, const WalkedEntry& entry, int64_t began_ns);
  Result<void> StoreBatch(pid_t pid, const std::vector<std::string>& batch, const std::set<FileKey>& written,
                          int64_t began_ns);

  const std::vector<std::string>& paths_;
  uint64_t file_bytes_max_;
  const ParentFiles& parent_;
  PendingSnapshot& pending_;
  std::vector<WalkedTree> walked_;
  int64_t walked_ns_ = 0;  // when that began
  std::unordered_map<FileKey, TrackedFile, FileKeyHash> files_;
};

}  // namespace holdfast
