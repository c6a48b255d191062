#include "memory/tracking_descriptor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "criu_plugin/remote_call.h"
#include "linux/pidfd.h"

namespace holdfast {

Result<Fd> MakeTrackingDescriptor(pid_t pid, const StoppedProcess& stopped) {
  constexpr uint64_t kUserModeOnly = 1;  // UFFD_USER_MODE_ONLY: enough here, and allowed to anybody
  const Fd pidfd = TRY(OpenPidfd(pid));
  RemoteCall call(stopped.thread());
  if (call.error() != 0) return FailErrno(call.error(), fmt::format("cannot make a call in process {}", pid));
  const long made = call.Call(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | kUserModeOnly);
  if (made < 0) {
    return Fail(ErrorKind::kUnsupported,
                FailErrno(static_cast<int>(-made), fmt::format("userfaultfd in process {}", pid)).message);
  }
  Result<Fd> copy = CopyDescriptor(pidfd.get(), static_cast<int>(made));
  call.Call(SYS_close, static_cast<uint64_t>(made));
  return copy;
}

}  // namespace holdfast
