// Reading and writing another process's memory, whatever the protection of its mappings.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

// Where a part of its memory is to be copied to.
struct RemotePiece {
  uint64_t address = 0;
  std::span<std::byte> to;
};

// Thread-safe. Needs ptrace permission over the process, not to be its tracer.
class RemoteMemory {
 public:
  static Result<RemoteMemory> Open(pid_t pid);

  // From /proc/PID/mem. Not process_vm_readv: it pins the pages, and a page that is shared after a fork is
  // copied for that (mm/gup.c, FAULT_FLAG_UNSHARE): reading a twin would undo what it is for. Measured, 512
  // MiB of a twin: all of it became private, at three times the cost.
  Result<void> Read(uint64_t address, std::span<std::byte> out) const;
  // Many small pieces, in a half of the time: process_vm_readv, a call for hundreds of them; what that is
  // refused, by Read(). For memory that is known to be the process's alone, as what it has just written, see
  // above.
  Result<void> ReadScattered(std::span<const RemotePiece> pieces) const;
  // process_vm_writev, which copies many pages at a time; where that is refused, /proc/PID/mem. Writes to
  // mappings that are not writable too: private ones get a copy of the page.
  Result<void> Write(uint64_t address, std::span<const std::byte> in) const;

 private:
  RemoteMemory(pid_t pid, Fd fd) : pid_(pid), fd_(std::move(fd)) {}
  pid_t pid_;
  Fd fd_;
};

}  // namespace holdfast
