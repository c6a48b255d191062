#include "linux/ready_breakpoints.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast {

ReadyBreakpoints::ReadyBreakpoints() {
  perf_event_attr nothing{};
  nothing.type = PERF_TYPE_SOFTWARE;
  nothing.size = sizeof nothing;
  nothing.config = PERF_COUNT_SW_DUMMY;
  nothing.exclude_kernel = 1;
  nothing.exclude_hv = 1;
  event_ = Fd(static_cast<int>(
      syscall(SYS_perf_event_open, &nothing, /*pid=*/0, /*cpu=*/-1, /*group=*/-1, PERF_FLAG_FD_CLOEXEC)));
}

}  // namespace holdfast
