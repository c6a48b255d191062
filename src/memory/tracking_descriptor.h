// A userfaultfd of another process, for tracking its writes.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"
#include "linux/stopped_process.h"

namespace holdfast {

// Made by a call injected into the stopped process, and taken out again: the job never sees a descriptor.
// kUnsupported: the kernel or the job's seccomp filter has none.
Result<Fd> MakeTrackingDescriptor(pid_t pid, const StoppedProcess& stopped);

}  // namespace holdfast
