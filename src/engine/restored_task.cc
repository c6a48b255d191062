#include "engine/restored_task.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>

#include "linux/pidfd.h"
#include "linux/proc.h"

namespace holdfast {

Result<Fd> MakeUserfaultfd(const RestoredTask& task, FaultsOf faults) {
  constexpr uint64_t kUserModeOnly = 1;  // UFFD_USER_MODE_ONLY, Linux 5.11
  if (TRY(ReadStatus(task.pid)).seccomp_mode != 0) {
    return Fail(ErrorKind::kUnsupported, "its seccomp filter may kill it for a userfaultfd");
  }
  const Fd pidfd = TRY(OpenPidfd(task.pid));
  const uint64_t flags = O_CLOEXEC | O_NONBLOCK | (faults == FaultsOf::kInstructions ? kUserModeOnly : 0);
  const int64_t made = TRY(task.Call(SYS_userfaultfd, {flags}));
  if (made < 0) {
    return Fail(
        ErrorKind::kUnsupported,
        FailErrno(static_cast<int>(-made), fmt::format("userfaultfd in process {}", task.pid)).message);
  }
  Result<Fd> copy = CopyDescriptor(pidfd.get(), static_cast<int>(made));
  TRY(task.Call(SYS_close, {static_cast<uint64_t>(made)}));
  return copy;
}

}  // namespace holdfast
