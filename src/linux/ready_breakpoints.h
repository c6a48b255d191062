// CRIU stops a task at the end of what it does in it by a hardware breakpoint. The first one that is set
// anywhere makes the kernel switch its perf hooks on and wait for every processor to have noticed
// (kernel/events/core.c, account_event: an RCU grace period, 10 ms and more), while the task stands still;
// they go off again a second after the last one. As long as this lives, they are on.
#pragma once

#include "base/fd.h"

namespace holdfast {

class ReadyBreakpoints {
 public:
  // Where the kernel allows no perf event to us, the first breakpoint is as slow as ever.
  ReadyBreakpoints();

 private:
  Fd event_;
};

}  // namespace holdfast
