// Regular files that a job has open for writing (or mapped shared and writable), or has made itself and has
// open, belong to its snapshot: captured as they are at the freeze, put back before a restart.
//
// So does all that lies in the directories of FileCaptureOptions::trees.
//
// Steps, because reading big files while the job stands still is what must not happen:
//   capture = TRY(FileCapture::Prepare(pids, ...));  // job runs: content goes into the store, with hashes
//   TRY(capture->Refresh(pids));                     // job runs: what has changed since
//   TRY(capture->CaptureFrozen(pids));               // job frozen: only blocks that changed are copied
//   files = TRY(capture->Finish());                  // job runs again: append-only files, the copied blocks
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "store/store.h"

namespace holdfast {

struct FileCaptureOptions {
  uint64_t file_bytes_max = 16ull << 30;  // larger: size, mode and owner only
  // Absolute paths that are never captured; one with '/' at its end: nor what is below ("/proc/").
  std::vector<std::string> ignored = {};
  // Since when the job runs, ms since 1970: files open for reading that were changed since then are its own,
  // and kept.
  int64_t began_ms = INT64_MAX;
  // A file last changed less than this before Prepare is compared at the freeze even if its times did not
  // change: a write sets the times first and copies then, so that a long one changes a file whose times are
  // old already.
  double settled_after_seconds = 10;
  // Absolute paths of directories, as the job sees them, without symbolic links, sorted, none in another.
  std::vector<std::string> trees = {};
  // Of this size on, a file that changes in place is reflinked in the freeze, where its file system can,
  // instead of compared.
  uint64_t reflink_bytes_min = 8ull << 20;
  // Files that every writer only appends to are believed to be so, and read when the job runs again; smaller
  // ones, which takes next to no time, are looked at while it stands still: a writer may come that does not.
  uint64_t append_bytes_min = 1ull << 20;
  // The snapshot that `pending` was begun with, when it was taken in this boot: what it has of a file that
  // shows no change since is not read. Outlives the capture.
  const Manifest* parent = nullptr;
};

class FileCapture {
 public:
  // Finds the files of `pids` (our pid namespace) and stores their content as it is now. Errors: store full,
  // I/O. A file that cannot be read is no error: its content is not kept and a warning says so.
  static Result<std::unique_ptr<FileCapture>> Prepare(const std::vector<pid_t>& pids,
                                                      PendingSnapshot& pending,
                                                      const FileCaptureOptions& options);
  virtual ~FileCapture() = default;
  // Right before the freeze, for what has changed since Prepare; may be left out.
  virtual Result<void> Refresh(const std::vector<pid_t>& pids) = 0;
  // Requires: every thread of `pids` is stopped. Finds the files again (new ones, other sizes); compares
  // content by hash with what Prepare stored unless (size, mtime, ctime) are unchanged; keeps changed blocks
  // in memory. For append-only files only the size is taken, large ones are reflinked. Allocates, reads,
  // hashes; never writes to a disk, but for what is dirty of a file that is reflinked.
  virtual Result<void> CaptureFrozen(const std::vector<pid_t>& pids) = 0;
  // Stores what CaptureFrozen kept, the changes in reflinked files and the tails of append-only ones (up to
  // their size at the freeze).
  virtual Result<std::vector<FileState>> Finish() = 0;
  // The directories that a restart needs, of those files and of the processes; outer ones first.
  virtual const std::vector<DirectoryState>& directories() const = 0;
  // Of FileCaptureOptions::trees those that there were; their files are among Finish's.
  virtual const std::vector<FileTree>& trees() const = 0;
  // Sentences for the snapshot's warnings.
  virtual const std::vector<std::string>& warnings() const = 0;
};

// Makes the files on disk what they were: content (truncating what only grew), mode, owner, and files that
// are gone, with the `directories` that they were in; in `trees` names, too: what came since goes. `root`:
// prefix for every path (tests, other roots), normally empty. Returns one sentence for each file it changed.
// Refuses to follow a symlink that was not there at the checkpoint, and, outside of trees, anything that is
// not a regular file.
Result<std::vector<std::string>> PutFilesBack(const std::vector<FileState>& files,
                                              const std::vector<DirectoryState>& directories,
                                              const std::vector<FileTree>& trees, const BlockReader& blocks,
                                              const std::string& root, Progress* progress);

}  // namespace holdfast
