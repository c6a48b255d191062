// The processes that fill a lazily restarted job. There are two: one serves, the other shares its table of
// descriptors and takes its place when it is killed; killed itself, it is replaced. So no single kill lets go
// of a descriptor, and with the last one of those every missing page would be zeros. Should both be killed at
// once, whoever finds out (ReadFillProgress) ends the job. They outlive the process that starts them.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/lazy_memory.h"
#include "store/store.h"

namespace holdfast {

struct PageServersOptions {
  const Store& store;
  const Manifest& manifest;
  pid_t root_pid = 0;         // of the job, ours: killed with all below when its memory cannot be given
  std::string fill_record;    // path
  std::string first_touches;  // path: what they were last time, and will be
  // RestoreOptions::keep_tracking, for tasks that have LazyTask::tracking.
  std::function<void(KeptTracking)> keep_tracking;
};

// Returns when they serve. `tracking`: what is to be kept beside what comes of `tasks`. Requires: none of the
// tasks runs yet.
Result<void> StartPageServers(const PageServersOptions& options, const std::vector<LazyTask>& tasks,
                              const KeptTracking& tracking);

}  // namespace holdfast
