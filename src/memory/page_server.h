// Fills a job that runs already: answers for pages that it touches and that are missing, and brings in
// everything else meanwhile. Whatever the job does to its memory at the same time (fork, move, discard,
// unmap, exec, end), no place ever gets anything but what belongs there. The design:
// docs/decisions/0009-lazy-restart.md.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"
#include "memory/fill_journal.h"
#include "memory/missing_ranges.h"
#include "store/store.h"

namespace holdfast {

// A stored page that a process touched.
struct Touch {
  int32_t pid = 0;  // AddressSpace::pid
  uint64_t address = 0;
};

// Stored memory of a process.
struct Stretch {
  int32_t pid = 0;  // AddressSpace::pid
  uint64_t address = 0;
  uint64_t bytes = 0;
};

// All of it outlives the server.
struct PageServerPlan {
  struct Space {
    int userfaultfd = -1;  // MissingPages::Events::kAll, registered
    const AddressSpace* stored = nullptr;
    MissingRanges missing;
    // Not -1: the writes of process `pid` are to be tracked by this when all is there: enabled for it,
    // nothing registered. `userfaultfd` is MissingPages::Events::kAllAndWrites then, and so are its places.
    int tracking = -1;
    pid_t pid = 0;
  };
  const Manifest& manifest;
  const BlockReader& blocks;
  std::vector<Space> spaces;
  std::vector<Touch> first;  // what to bring in before all else, in this order
  // What comes after that and before the rest. May be empty; called by a thread of the server, when it serves
  // already.
  std::function<std::vector<Stretch>()> second;
  pid_t root_pid = 0;  // of the job
};

enum class Served {
  kFilled,  // nothing is missing any more, and the descriptors are closed
  kAlone,   // the companion has ended
};

struct PageServerReport {
  Served served = Served::kFilled;
  std::vector<Touch> touched;  // what the job waited for, in order; a limited number
  std::vector<pid_t> tracked;  // processes whose writes are tracked since the snapshot
};

// Serves from where the journal stands, until one of both. `companion`: a pidfd of a process that shares our
// table of descriptors. When the stored memory cannot be read, the error is returned, and somebody must end
// the job before the last descriptor is closed. Requires: a single thread; nobody else reads the descriptors.
Result<PageServerReport> ServePages(const PageServerPlan& plan, FillJournal& journal, int companion);

}  // namespace holdfast
