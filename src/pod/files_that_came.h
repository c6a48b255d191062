// A restore puts files into a container's root file system before anybody knows whether it succeeds. When it
// fails, the container is created cold over that same root file system: files that only came with the restore
// go again.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/manifest.h"

namespace holdfast {

class FilesThatCame {
 public:
  // Before the restore. What lies in `rootfs` under the name of a file or of a directory of the snapshot
  // stays.
  FilesThatCame(std::string rootfs, const Manifest& manifest);
  // Requires: nobody else uses the root file system. Never goes through a symbolic link. Best effort.
  void Remove() const;

 private:
  std::string rootfs_;
  std::vector<std::string> missing_;  // paths in it, those further down first
};

}  // namespace holdfast
