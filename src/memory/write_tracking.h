// Which pages of a process have been written to since they were last looked at, by asynchronous write
// protection. The rules that keep it from missing one are in write_tracking.cc, each where it is obeyed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "linux/pagemap_scan.h"
#include "linux/proc.h"
#include "linux/stopped_process.h"
#include "linux/write_protection.h"
#include "memory/drain.h"

namespace holdfast {

class WriteTracking {
 public:
  // Makes a userfaultfd in the process by a call injected into `stopped`, and takes it out again: the job
  // never sees a descriptor. Ends, without a trace, with the object. kUnsupported: the kernel or the job's
  // seccomp filter has none. kBusy: somebody else tracks it, for another snapshot; two would take each
  // other's marks for their own.
  static Result<WriteTracking> Begin(pid_t pid, const StoppedProcess& stopped);
  // The same with a new userfaultfd of the process, which nobody else has enabled yet.
  static Result<WriteTracking> Begin(pid_t pid, Fd userfaultfd);
  // Goes on with what Release gave, of the same process.
  static WriteTracking Continue(pid_t pid, Fd userfaultfd) {
    return {pid, WriteProtection::Continue(std::move(userfaultfd))};
  }

  // Whether it is still about the process's memory: an exec leaves that behind.
  Result<bool> IsCurrent(const std::vector<Mapping>& mappings) const;

  // Has mappings that are new tracked from the next Arm on. Requires: no thread of the process runs, and
  // `mappings` are what it has now. (Done to one that has grown meanwhile, it would be cut in two, and the
  // job's own mremap of the whole fail.)
  Result<void> Register(const std::vector<Mapping>& mappings);

  struct Armed {
    std::vector<PageRun> written;  // pages
    std::vector<PageRun> emptied;  // places: what was stored of pages in them is not right any more
  };
  // Protects all that is written in registered mappings, while the process runs. Before the pages' content is
  // read, every thread of the job has to pass a stop: a system call that found a page before it was protected
  // may still be writing to it, which leaves no mark. After an error the tracking must not be used any more.
  Result<Armed> Arm(const std::vector<Mapping>& mappings);

  // Protects, of registered mappings, what is in `runs` (sorted) and nothing else: everything else counts as
  // written. Requires: no thread of the process runs. After an error the tracking must not be used any more.
  Result<void> ArmOnly(const std::vector<Mapping>& mappings, const std::vector<PageRun>& runs);

  struct Found {
    std::vector<PageRun> written;    // pages
    std::vector<PageRun> unwritten;  // places: what was stored of pages in them is still right
  };
  // Requires: no thread of the process runs, and `mappings` are what it has now. After an exec, all is
  // written. With `arm`, what is written from now on counts as written again.
  Result<Found> Find(const std::vector<Mapping>& mappings, bool arm);

  // The pages that Find would find now, while it runs.
  Result<std::vector<PageRun>> Written(const std::vector<Mapping>& mappings) const;

  // Ends this object, not the tracking, as long as the descriptor is kept.
  Fd Release() && { return std::move(protection_).Release(); }

 private:
  WriteTracking(pid_t pid, WriteProtection protection) : pid_(pid), protection_(std::move(protection)) {}
  // Takes marks away that are left from elsewhere in mappings that were registered since the last time.
  Result<void> ClearNew(const PagemapScanner& scanner);

  pid_t pid_;
  WriteProtection protection_;
  std::vector<Mapping> new_;  // registered, and not cleared yet
};

// Whether devices or the kernel may write to this process's memory behind the page tables' back, so that no
// tracking sees it.
bool HasInvisibleWriters(const std::vector<Mapping>& mappings);

}  // namespace holdfast
