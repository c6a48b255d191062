// Which pages of anonymous shared memory have been written to, by any of the processes that map it.
//
// Each mapping has marks of its own, and they vanish with it. So what a mapping tells counts only as long as
// it is known that there has been no other one: whoever is about to fork, or to move or discard a part of a
// tracked mapping, waits until we have read of it (userfaultfd's events); a mapping that is not there any
// more at the freeze, or is there and was not protected, counts as written all over. The rules are in
// shared_tracking.cc, each where it is obeyed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "linux/stopped_process.h"
#include "memory/drain.h"
#include "memory/shared_objects.h"

namespace holdfast {

// As long as it lives, a thread of it answers for the events: the job waits for that one only.
class SharedTracking {
 public:
  static Result<SharedTracking> Begin();
  SharedTracking(SharedTracking&&) noexcept;
  SharedTracking& operator=(SharedTracking&&) noexcept;
  ~SharedTracking();

  // Has mappings of a process tracked from Protect on; from now on its forks are noticed. An error: nothing
  // of the process is tracked. Requires: they are what the process has now of objects that are to be tracked.
  Result<void> Register(pid_t pid, const StoppedProcess& stopped, const std::vector<SharedUse>& uses);
  // Those of `inodes` that somebody maps who is not registered with all that he has of it, in this job or
  // elsewhere: of them we know nothing.
  Result<std::set<uint64_t>> MappedElsewhere(const std::set<uint64_t>& inodes) const;

  // Protects every place in the registered mappings while the processes run. Before content is read, each
  // process has to pass a stop (see WriteTracking::Arm).
  Result<void> Protect();
  // Protects again what has been written to, and returns it, by place in the object. The same holds.
  Result<std::vector<PageRun>> ProtectWritten(uint64_t inode);
  // While they run.
  Result<uint64_t> WrittenBytes(uint64_t inode) const;
  // Processes where something else may have got a protection that was meant for a mapping which had just
  // gone: other marks in them cannot be relied on.
  std::set<pid_t> Confused() const;

  // What may have been written to since it was protected last; nothing: anything. `uses`: all mappings of the
  // object that there are. Requires: the processes stand still. Thread-safe.
  Result<std::optional<std::vector<PageRun>>> FindWritten(uint64_t inode, const std::vector<SharedUse>& uses);

  // The process is about to be cloned by us.
  void LetGo(pid_t pid);

 private:
  struct Impl;
  explicit SharedTracking(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
