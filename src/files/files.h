// Regular files that a job has open for writing (or mapped shared and writable), or has made itself and has
// open, belong to its snapshot: captured as they are at the freeze, put back before a restart.
//
// Three steps, because reading big files while the job stands still is what must not happen:
//   FileCapture capture = TRY(FileCapture::Prepare(pids, ...));   // job runs: content goes into the store,
//   with hashes TRY(capture.CaptureFrozen(pids));                              // job frozen: only blocks
//   that changed are copied std::vector<FileState> files = TRY(capture.Finish());         // job runs again:
//   append-only files, the copied blocks
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
  // Absolute paths that are never captured ("/proc/", "/sys/").
  std::vector<std::string> ignore_prefixes = {};
  // Since when the job runs, ms since 1970: files open for reading that were changed since then are its own,
  // and kept.
  int64_t began_ms = INT64_MAX;
  // A file last changed less than this before Prepare is compared at the freeze even if its times did not
  // change: a write sets the times first and copies then, so that a long one changes a file whose times are
  // old already.
  double settled_after_seconds = 10;
};

class FileCapture {
 public:
  // Finds the files of `pids` (our pid namespace) and stores their content as it is now. Errors: store full,
  // I/O. A file that cannot be read is no error: its content is not kept and a warning says so.
  static Result<std::unique_ptr<FileCapture>> Prepare(const std::vector<pid_t>& pids,
                                                      PendingSnapshot& pending,
                                                      const FileCaptureOptions& options);
  virtual ~FileCapture() = default;
  // Requires: every thread of `pids` is stopped. Finds the files again (new ones, other sizes); compares
  // content by hash with what Prepare stored unless (size, mtime, ctime) are unchanged; keeps changed blocks
  // in memory. For append-only files only the size is taken. Allocates, reads, hashes; never writes to a
  // disk.
  virtual Result<void> CaptureFrozen(const std::vector<pid_t>& pids) = 0;
  // Stores what CaptureFrozen kept and the tails of append-only files (up to their size at the freeze).
  virtual Result<std::vector<FileState>> Finish() = 0;
  // The directories that a restart needs, of those files and of the processes; outer ones first.
  virtual const std::vector<DirectoryState>& directories() const = 0;
  // Sentences for the snapshot's warnings.
  virtual const std::vector<std::string>& warnings() const = 0;
};

// Makes the files on disk what they were: content (truncating what only grew), mode, owner, and files that
// are gone, with the `directories` that they were in. `root`: prefix for every path (tests, other roots),
// normally empty. Returns one sentence for each file it changed. Refuses to follow a symlink that was not
// there at the checkpoint, and anything that is not a regular file.
Result<std::vector<std::string>> PutFilesBack(const std::vector<FileState>& files,
                                              const std::vector<DirectoryState>& directories,
                                              const BlockReader& blocks, const std::string& root,
                                              Progress* progress);

}  // namespace holdfast
