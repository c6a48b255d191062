// Memory that several mappings share (anonymous MAP_SHARED, memfd): copied once per object while the job
// stands still. Files, /dev/shm included, belong to the files layer; SysV segments live in an IPC namespace,
// which CRIU dumps.
#pragma once

#include <sys/types.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "linux/proc.h"
#include "memory/staged_memory.h"
#include "store/store.h"

namespace holdfast {

class SharedMemoryCapture {
 public:
  // Copies the objects that the stopped process maps or holds open and that have not been seen yet.
  Result<void> CaptureFrozen(pid_t pid, const std::vector<Mapping>& mappings);
  // Stores what was copied.
  Result<std::vector<SharedObject>> Drain(PendingSnapshot& pending);
  uint64_t bytes() const;

 private:
  struct Object {
    uint64_t inode = 0;
    std::string name;
    StagedMemory content;  // addresses are offsets in the object
  };
  Result<void> CaptureObject(const std::string& path, const std::string& name);

  std::set<uint64_t> seen_;
  std::vector<Object> objects_;
};

}  // namespace holdfast
