// Memory that several mappings share (anonymous MAP_SHARED, memfd): which objects processes have, and their
// content. Files, /dev/shm included, belong to the files layer; SysV segments live in an IPC namespace, which
// CRIU dumps.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "linux/proc.h"
#include "memory/drain.h"

namespace holdfast {

// One mapping of an object.
struct SharedUse {
  pid_t pid = 0;
  uint64_t inode = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;  // in the object, of what is at `start`
};

struct FoundObject {
  uint64_t inode = 0;
  std::string name;  // what /proc/PID/maps or /proc/PID/fd calls it
  std::string path;  // where it can be opened
  std::vector<SharedUse> uses;

  // No descriptor leads to it, only mappings do: what is written to it goes through page tables.
  bool IsAnonymous() const;
};

// criu_plugin/interposer.cc hides the content of the same ones from CRIU.
bool IsSharedMemory(const Mapping& mapping);

// Each object that the processes map or hold open, once. `ended_too`: one that has ended is no error.
Result<std::vector<FoundObject>> FindSharedObjects(const std::vector<pid_t>& pids, bool ended_too);

// An object that is open for reading. Offsets and lengths are whole pages; what lies behind its end is zeros.
class SharedObjectFile {
 public:
  static Result<SharedObjectFile> Open(const FoundObject& object);
  // Thread-safe.
  Result<void> Read(uint64_t offset, std::span<std::byte> out) const;
  // The stretches of [start, end) that hold data. What the kernel cannot tell is all data. Thread-safe.
  Result<std::vector<PageRun>> DataIn(uint64_t start, uint64_t end) const;
  // Now.
  Result<uint64_t> Bytes() const;
  Result<uint64_t> BytesInUse() const;

 private:
  SharedObjectFile(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
};

}  // namespace holdfast
