// A capture in progress, for the files that implement it: file_capture.cc until the freeze is over,
// capture_trees.cc what it does about trees, capture_finish.cc what is done when the job runs again.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "files/descriptor_limit.h"
#include "files/file_blocks.h"
#include "files/files.h"
#include "files/found_files.h"
#include "files/kept_bytes.h"
#include "files/stored_blocks.h"
#include "files/tracked_file.h"
#include "files/tree_capture.h"

namespace holdfast {

// A block as it was at the freeze: stored already, or kept.
struct FrozenBlock {
  uint32_t index = kZeroBlock;
  const std::byte* kept = nullptr;
};

struct FrozenFile {
  TrackedFile* tracked = nullptr;
  FileState state;
  bool mapped = false;
  int read_later = -1;  // Finish reads it, from this descriptor: append-only, or reflinked
  std::vector<FrozenBlock> blocks;
};

class Capture final : public FileCapture {
 public:
  Capture(PendingSnapshot& pending, FileCaptureOptions options)
      : pending_(pending),
        options_(std::move(options)),
        parent_(options_.parent, pending),
        trees_(options_.trees, options_.file_bytes_max, parent_, pending) {}

  Result<void> PrepareRunning(const std::vector<pid_t>& pids);
  Result<void> Refresh(const std::vector<pid_t>& pids) override;
  Result<void> CaptureFrozen(const std::vector<pid_t>& pids) override;
  Result<std::vector<FileState>> Finish() override;
  const std::vector<DirectoryState>& directories() const override { return directories_; }
  const std::vector<FileTree>& trees() const override { return file_trees_; }
  const std::vector<std::string>& warnings() const override { return warnings_; }

 private:
  bool IsKept(const TrackedFile& file, uint64_t bytes) const {
    return file.fd.valid() && bytes <= options_.file_bytes_max;
  }
  Result<FoundFiles> FindRunning(std::vector<pid_t> pids) const;
  Result<void> Look(const FoundFile& found);
  Result<void> LookAt(TrackedFile& file, bool was_append_only, bool was_mapped);
  void TakeStored(FrozenFile& frozen) const;
  Result<void> LookAtTrees(pid_t pid);
  Result<void> LookAtClosed(pid_t pid, const std::string& path, const WalkedEntry& entry);
  bool IsInTree(const std::string& path) const;
  void FinishTrees();
  void TakeUnchanged(const std::string& path, const WalkedEntry& entry);
  void LeaveTrees(const std::map<FileKey, std::string>& path_of);
  Result<void> LookForSidecars();
  Result<void> Compare();
  Result<void> CompareRange(const BlockRange& range);
  Result<void> StoreKept();
  Result<void> StoreLater();
  Result<void> StoreLaterRange(const BlockRange& range, std::set<std::string>& overwritten,
                               std::mutex& mutex);
  Error TooMuchToKeep(const std::string& path) const;
  void NoteUnreadable(FrozenFile& file);
  void WarnOfContentNotKept(const FrozenFile& file);

  PendingSnapshot& pending_;
  FileCaptureOptions options_;
  RaisedDescriptorLimit descriptor_limit_;
  ParentFiles parent_;
  TreeCapture trees_;
  std::map<FileKey, TrackedFile> tracked_;
  int64_t frozen_ns_ = 0;  // when the freeze was there already
  std::vector<FrozenFile> frozen_;
  std::vector<BlockRange> to_compare_;
  KeptBytes kept_;
  std::mutex unreadable_mutex_;
  std::vector<DirectoryState> directories_;
  std::vector<FileTree> file_trees_;
  std::vector<std::string> warnings_;
};

}  // namespace holdfast
