#include "memory/remote_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {

Result<RemoteMemory> RemoteMemory::Open(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/mem", pid);
  Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open " + path);
  return RemoteMemory(pid, std::move(fd));
}

Result<void> RemoteMemory::Read(uint64_t address, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return FailErrno(fmt::format("cannot read memory of process {} at {:x}", pid_, address + done));
    if (got == 0)
      return Fail(ErrorKind::kNotFound, fmt::format("process {} ended while its memory was read", pid_));
    done += static_cast<size_t>(got);
  }
  return {};
}

Result<void> RemoteMemory::Write(uint64_t address, std::span<const std::byte> in) const {
  size_t done = 0;
  while (done < in.size()) {
    iovec local{const_cast<std::byte*>(in.data()) + done, in.size() - done};
    iovec remote{reinterpret_cast<void*>(address + done), in.size() - done};
    ssize_t got = process_vm_writev(pid_, &local, 1, &remote, 1, 0);
    if (got <= 0) got = pwrite(fd_.get(), local.iov_base, local.iov_len, static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      return FailErrno(fmt::format("cannot write memory of process {} at {:x}", pid_, address + done));
    if (got == 0)
      return Fail(ErrorKind::kNotFound, fmt::format("process {} ended while its memory was written", pid_));
    done += static_cast<size_t>(got);
  }
  return {};
}

}  // namespace holdfast
