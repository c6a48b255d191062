// Our hold on a copy-on-write twin (criu_plugin/twin.h): it dies with us, and is gone without a trace when we
// let go.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "criu_plugin/protocol.h"

namespace holdfast {

// Only the thread that attached may call the members.
class MemoryTwin {
 public:
  // Becomes the twin's tracer: when this process dies, so does the twin. `task` is the job's process it was
  // made from.
  static Result<MemoryTwin> Attach(pid_t twin, Fd pidfd, pid_t task, TwinPlacement placement);
  MemoryTwin(MemoryTwin&& other) noexcept;
  MemoryTwin& operator=(MemoryTwin&& other) noexcept;
  ~MemoryTwin() { Discard(); }

  pid_t pid() const { return pid_; }
  TwinPlacement placement() const { return placement_; }
  // Whether it has been killed: by the kernel, when memory ran out.
  bool IsDead() const { return WaitUntilDead(0); }
  // Whether it is, or will be within so many milliseconds.
  bool WaitUntilDead(int milliseconds) const;
  // Gives the pages of [start, end) back, which have been stored: what the job then writes is not copied any
  // more.
  void Release(uint64_t start, uint64_t end);
  // Kills it and sees to it that no corpse is left with the job. Idempotent.
  void Discard();

 private:
  MemoryTwin() = default;
  pid_t pid_ = 0;
  pid_t task_ = 0;
  pid_t pid_in_namespace_ = 0;
  Fd pidfd_;
  TwinPlacement placement_ = TwinPlacement::kOrphan;
  uint64_t syscall_address_ = 0;
};

// Twins that are children of their tasks, as corpses, since who made them was killed: has their parents
// collect them. `tree`: all processes of the job. Best effort.
void CollectLeftTwins(const std::vector<pid_t>& tree);

}  // namespace holdfast
