// What of a restored process's memory may come while it runs.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "engine/restored_task.h"
#include "memory/missing_ranges.h"
#include "store/manifest.h"

namespace holdfast {

struct LazyTask {
  pid_t pid = 0;  // ours
  const AddressSpace* stored = nullptr;
  Fd userfaultfd;         // registered; while it is open, nobody gets past a missing page
  MissingRanges missing;  // may come later
  AddressSpace now;       // the rest, which must be there before it runs
  Fd tracking;            // PageServerPlan::Space::tracking; invalid: its writes are not to be tracked
};

// Registers a process's anonymous memory. Shared memory, files' pages and what the process's children are not
// to have is not lazy. kUnsupported: nothing of it can be, as the kernel lacks what it takes, or the process
// is not allowed to be asked for it (it is not root's, or has a seccomp filter). `track`: its writes, where
// the kernel can.
Result<LazyTask> MakeLazy(const RestoredTask& task, const Manifest& manifest, const AddressSpace& stored,
                          bool track);

}  // namespace holdfast
