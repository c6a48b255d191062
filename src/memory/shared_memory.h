// The content of memory that several mappings share, each object once. Stored while the job runs; in the
// freeze only what may have changed since is looked at: of anonymous memory what was written to
// (shared_tracking.h), of memory files, which can be written to through a descriptor, what is not the same
// any more.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "memory/drain.h"
#include "memory/shared_objects.h"
#include "memory/shared_tracking.h"
#include "memory/staged_memory.h"
#include "store/hash.h"
#include "store/store.h"

namespace holdfast {

class SharedMemoryCapture {
 public:
  struct Prepared {
    double stopped_ms = 0;  // how long processes stood still for it, in sum
    uint64_t bytes = 0;     // stored
    // Processes whose other tracking (WriteTracking) must not be believed any more.
    std::set<pid_t> confused;
  };
  // Stores what the processes share while they run. `always`: however little it is and however fast it
  // changes. Errors are those of the store and Ctrl-C. Without it CaptureFrozen copies all.
  Result<Prepared> PrepareRunning(const std::vector<pid_t>& pids, PendingSnapshot& pending, bool always,
                                  Progress* progress);
  // Copies what is not known to be stored. Requires: the processes stand still, and nobody else has the
  // objects.
  Result<void> CaptureFrozen(const std::vector<pid_t>& pids);
  // The stopped process is about to be cloned by us.
  void BeforeTwin(pid_t pid);
  // The job runs again: ends the tracking.
  void EndTracking() { tracking_.reset(); }
  // Stores what was copied.
  Result<std::vector<SharedObject>> Drain(PendingSnapshot& pending);
  // Copied in the freeze.
  uint64_t bytes() const;

 private:
  struct Object {
    uint64_t inode = 0;
    std::string name;
    std::optional<SharedObjectFile> file;
    bool tracked = false;
    std::vector<Extent> known;  // stored; addresses are offsets in the object; of zeros, too
    StagedMemory staged;
    uint64_t room_bytes = 0;  // wanted for `staged`
  };
  // What a block that was stored while the job ran holds.
  struct StoredBlock {
    Hash128 hash{};
    uint64_t bytes = 0;
  };

  Object& ObjectOf(const FoundObject& found);
  Result<std::vector<FoundObject>> OpenLarge(const std::vector<FoundObject>& found, bool always);
  Result<void> Track(const std::vector<FoundObject>& found, bool always, Prepared& prepared);
  Result<void> Register(const std::vector<FoundObject>& found, std::set<uint64_t>& inodes,
                        Prepared& prepared);
  Result<void> StoreRounds(Object& object, PendingSnapshot& pending, Progress* progress, Prepared& prepared);
  Result<void> Store(Object& object, const std::vector<PageRun>& runs, PendingSnapshot& pending,
                     Progress* progress, Prepared& prepared);
  Result<void> PassStop(Prepared& prepared) const;
  Result<std::vector<Extent>> Unchanged(const Object& object) const;
  Result<void> CaptureOne(const FoundObject& found, Object& object);

  std::map<uint64_t, Object> objects_;  // by inode
  std::vector<uint64_t> captured_;      // inodes, in the order they were found
  std::unordered_map<uint32_t, StoredBlock> stored_;
  std::optional<SharedTracking> tracking_;
  std::set<pid_t> tracked_pids_;
};

}  // namespace holdfast
