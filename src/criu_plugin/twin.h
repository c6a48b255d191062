// SPDX-License-Identifier: MIT
// A copy-on-write twin of a stopped task: a process that shares the task's pages, never runs a single
// instruction of the job, and holds the memory as it was while the job runs on.
#pragma once

#include <sys/types.h>

#include "criu_plugin/protocol.h"

namespace holdfast {

// Tasks of the job with PR_SET_CHILD_SUBREAPER: orphans below them become theirs.
class Subreapers {
 public:
  // Looks at `task`. False when it cannot be told, or there are too many. Requires: as RemoteCall.
  bool Examine(pid_t task);

  int count() const { return count_; }
  pid_t task(int index) const { return tasks_[index]; }

 private:
  static constexpr int kTasksMax = 64;
  pid_t tasks_[kTasksMax] = {};
  int count_ = 0;
};

// Makes the twin of `task` and lets go of it: stopped (an orphan) or parked in pause() (a child), no
// descriptors, its own session. While an orphan is made, `reapers` collect none, so that it becomes nobody's
// in the job: not now, and not when `task` ends before it does. The twin has nothing of what lies in the
// `left_out` ranges (left_out.h). 0, or an errno; then nothing is left behind and the task is as it was.
int MakeTwin(pid_t task, TwinPlacement placement, const Subreapers& reapers, const TwinRange* left_out,
             uint64_t left_out_count, pid_t* twin);

}  // namespace holdfast
