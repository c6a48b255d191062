// pidfds: names of processes that cannot come to mean another one.
#pragma once

#include <sys/types.h>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

Result<Fd> OpenPidfd(pid_t pid);
// The pid, in our namespace, of the process a pidfd names ("Pid:" in its fdinfo). kNotFound when it is gone.
Result<pid_t> PidOfPidfd(int pidfd);
// A copy of descriptor `fd` of the process that a pidfd names.
Result<Fd> CopyDescriptor(int pidfd, int fd);
Result<void> SendSignal(int pidfd, int signal);
// Waits until the process has ended (not: been collected). kBusy when it takes longer.
Result<void> WaitForEnd(int pidfd, int milliseconds);

}  // namespace holdfast
