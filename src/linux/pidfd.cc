#include "linux/pidfd.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "linux/proc.h"

namespace holdfast {

Result<Fd> OpenPidfd(pid_t pid) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd.valid()) return FailErrno(fmt::format("cannot open process {}", pid));
  return fd;
}

Result<pid_t> PidOfPidfd(int pidfd) {
  const std::string text = TRY(ReadFile(fmt::format("/proc/self/fdinfo/{}", pidfd)));
  const size_t at = text.find("Pid:\t");
  pid_t pid = -1;
  if (at != std::string::npos) std::from_chars(text.data() + at + 5, text.data() + text.size(), pid);
  if (pid <= 0) return Fail(ErrorKind::kNotFound, "the process is gone");
  return pid;
}

Result<Fd> CopyDescriptor(int pidfd, int fd) {
  Fd copy(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, fd, 0)));
  if (!copy.valid()) return FailErrno(fmt::format("cannot copy descriptor {} of another process", fd));
  return copy;
}

Result<void> SendSignal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) return FailErrno("pidfd_send_signal");
  return {};
}

Result<void> WaitForEnd(int pidfd, int milliseconds) {
  pollfd poll_fd{pidfd, POLLIN, 0};
  for (;;) {
    const int ready = poll(&poll_fd, 1, milliseconds);
    if (ready > 0) return {};
    if (ready == 0) return Fail(ErrorKind::kBusy, "the process did not end in time");
    if (errno != EINTR) return FailErrno("poll");
  }
}

}  // namespace holdfast
