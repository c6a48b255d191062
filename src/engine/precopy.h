// Pre-copy: memory is stored while the job runs on and its writes are tracked, so that the freeze has to
// capture only what was written meanwhile. For that a process stands still twice: a moment now, to begin the
// tracking, and in the freeze.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/capture_choice.h"
#include "engine/engine.h"
#include "engine/job_tree.h"
#include "memory/shared_memory.h"
#include "memory/write_tracking.h"
#include "store/store.h"

namespace holdfast {

struct TrackedTask {
  pid_t pid_in_namespace = 0;
  std::optional<WriteTracking> tracking;
  // Where the content of pages that were not written to since is in the pending snapshot.
  std::vector<Extent> known;
  CaptureChoice expected;      // of what was written when it was last looked at
  uint64_t to_copy_bytes = 0;  // of that
  int rounds = 0;
  bool in_vain = false;  // most of what was stored has been written again by then
};

struct PreCopied {
  std::map<pid_t, TrackedTask> tasks;  // by our pid; those that are worth it
  double stopped_ms = 0;               // how long processes stood still for it, in sum
  uint64_t bytes = 0;                  // stored while they ran
  int rounds = 0;                      // the most that one of them had
  // Processes, as the job numbers them, that write too much for it, and how many checkpoints more they are
  // spared it.
  std::map<pid_t, int> spared;
};

// Goes on with options.tracking where there is something, and uses it up; `parent`: the snapshot that
// `pending` has as its parent, or null. Errors are those of the store and Ctrl-C. A process that cannot be
// tracked is none: it is captured whole. `rest_ms`: what the freeze is expected to take besides the capture
// of memory.
Result<PreCopied> PreCopy(const JobTree& tree, const Manifest* parent, double rest_ms,
                          SharedMemoryCapture& shared, PendingSnapshot& pending,
                          const CheckpointOptions& options);

// For the next checkpoint, which finds it in its parent, and for a restart.
void RecordTracking(const PreCopied& precopied, std::map<std::string, std::string>& facts);
// Whether the writes of this process (as the job numbers it) were tracked when the snapshot was taken, as it
// is worth it.
bool WasTracked(const Manifest& manifest, pid_t pid_in_namespace);

// Ends the tracking, or leaves it in options.tracking for the checkpoint after `base`.
void LeaveTracking(PreCopied& precopied, const SnapshotId& base, const CheckpointOptions& options);

}  // namespace holdfast
