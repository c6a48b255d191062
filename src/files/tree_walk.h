// What lies below a directory, whatever it is. Nothing is read of files but their inodes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "files/found_files.h"
#include "files/tracked_file.h"
#include "store/manifest.h"

namespace holdfast {

struct WalkedEntry {
  TreeEntry entry;  // regular files: all kFile, each of its names
  FileKey key;
  FileTimes times;
  uint64_t mount = 0;  // its id
};

struct WalkedTree {
  std::string path;                  // absolute
  bool there = false;                // it is a directory
  std::vector<WalkedEntry> entries;  // sorted by path, the first one is the directory itself
  std::vector<std::string> mounts;   // paths below it where something is mounted: not followed, kOther
};

// Walks `path` below the directory `root`, on all cores; symbolic links are not followed, in `path` neither.
// What goes meanwhile is left out. `before`: an earlier walk, null or finished at `before_ns` (nanoseconds
// since 1970, CLOCK_REALTIME); extended attributes of what has not changed are taken over from it.
Result<WalkedTree> WalkTree(const Fd& root, const std::string& path, const WalkedTree* before = nullptr,
                            int64_t before_ns = 0);

// The directory and the last part of a path below it ("a/b/c": of "a/b", and "c"). Invalid, and errno, when
// it cannot be opened.
struct NameInDirectory {
  Fd directory;
  std::string name;
};
NameInDirectory OpenParent(const Fd& root, const std::string& path);

}  // namespace holdfast
