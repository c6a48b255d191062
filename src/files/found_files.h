// Which files of a process tree belong to its snapshot: regular, linked, and open for writing or mapped
// shared through a descriptor that may write; and named ones in /dev/shm that are open or mapped in any way,
// because no CRIU image has them; and files of the job's own making that are open for reading (a sort's
// spilled parts), which the job may remove before it is killed. Deleted files are CRIU's ghost files.
#pragma once

#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

struct FileKey {
  uint64_t device = 0;
  uint64_t inode = 0;
  auto operator<=>(const FileKey&) const = default;
};
struct FileKeyHash {
  size_t operator()(const FileKey& key) const {
    return std::hash<uint64_t>{}(key.device ^ (key.inode * 0x9e3779b97f4a7c15));
  }
};

struct FoundFile {
  FileKey key;
  std::string path;          // absolute, as the job sees it
  std::string link;          // "/proc/12/fd/3": leads to this very file, whatever its path leads to
  pid_t pid = 0;             // one of those that have it
  bool append_only = false;  // somebody writes to it, and every writer has O_APPEND
  bool mapped = false;       // shared and writable: its content changes without a system call
  bool read_only = false;    // nobody in the tree can write to it
};

struct FoundFiles {
  std::vector<FoundFile> files;  // sorted by path
  std::vector<std::string> warnings;
};

// Fast enough for a freeze: descriptors without a path cost one readlink. Processes that are gone are passed
// over. `began_ms`: since when the job runs (wall clock); files changed since then count as of its own
// making.
Result<FoundFiles> FindFiles(const std::vector<pid_t>& pids, const std::vector<std::string>& ignored,
                             int64_t began_ms);

}  // namespace holdfast
