// SPDX-License-Identifier: MIT
// A copy-on-write twin of a stopped task: a process that shares the task's pages, never runs a single
// instruction of the job, and holds the memory as it was while the job runs on.
#pragma once

#include <sys/types.h>

#include "criu_plugin/protocol.h"

namespace holdfast {

// Whether `task` collects the orphans below it: PR_SET_CHILD_SUBREAPER, or init of its pid namespace.
// Requires: as RemoteCall. When it cannot be told, yes.
bool CollectsOrphans(pid_t task);

// Makes the twin of `task` and lets go of it: stopped (an orphan) or parked in pause() (a child), no
// descriptors, its own session. 0, or an errno; then nothing is left behind and the task is as it was.
int MakeTwin(pid_t task, TwinPlacement placement, pid_t* twin);

}  // namespace holdfast
