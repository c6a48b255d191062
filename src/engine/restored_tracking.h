// The writes of a restarted process are tracked from before its first one: so the first checkpoint after the
// restart looks only at what was written since, as a later one does.
#pragma once

#include <cstdint>
#include <set>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/restored_task.h"
#include "memory/write_tracking.h"
#include "store/manifest.h"

namespace holdfast {

// Whether it is worth it: its writes were tracked when the snapshot was taken. Nothing is where a device may
// write unseen.
Result<bool> IsToBeTracked(const RestoredTask& task, const Manifest& manifest);

// Of a process whose memory is back and that has not run: whatever holds what is stored counts as not
// written, but for the pages in `not_ours` (addresses), which somebody else has brought. kUnsupported when it
// cannot be.
Result<WriteTracking> TrackFromRestart(const RestoredTask& task, const AddressSpace& stored,
                                       const std::set<uint64_t>& not_ours);

// To be kept until the next checkpoint.
Result<KeptTracking::Task> Keep(pid_t pid, WriteTracking tracking);

}  // namespace holdfast
