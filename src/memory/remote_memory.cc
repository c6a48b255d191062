#include "memory/remote_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
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

Result<void> RemoteMemory::ReadScattered(std::span<const RemotePiece> pieces) const {
  constexpr size_t kBatch = 512;  // at most IOV_MAX, 1024
  std::array<iovec, kBatch> local{};
  std::array<iovec, kBatch> remote{};
  while (!pieces.empty()) {
    const std::span<const RemotePiece> batch = pieces.first(std::min(pieces.size(), kBatch));
    size_t wanted = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      local.at(i) = {batch[i].to.data(), batch[i].to.size()};
      remote.at(i) = {reinterpret_cast<void*>(batch[i].address), batch[i].to.size()};
      wanted += batch[i].to.size();
    }
    const ssize_t got = process_vm_readv(pid_, local.data(), batch.size(), remote.data(), batch.size(), 0);
    if (got < 0 || static_cast<size_t>(got) != wanted) {
      for (const RemotePiece& piece : batch) TRY(Read(piece.address, piece.to));
    }
    pieces = pieces.subspan(batch.size());
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
