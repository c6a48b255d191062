// One small record in a shared directory that several machines write, each only over the version that it has
// read: compare and swap, with nothing but what every file system does in one step, NFS included.
//
// Each version is a file of its own, whose name is its number. A writer makes the next one by link(2), which
// fails for all but one of those who try. Older versions are removed after that. So a writer that was away
// for long may find the name it wants free again; it sees then that there is a higher one, and knows that it
// came too late.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

class VersionedRecord {
 public:
  static constexpr size_t kBytesMax = 64 * 1024;  // of a version's content

  struct Version {
    uint64_t number = 0;  // 0: nothing was ever written
    std::string content;
  };

  // The directory is made by the first write; what lies above it must be there.
  explicit VersionedRecord(std::filesystem::path directory) : directory_(std::move(directory)) {}

  Result<Version> Read() const;

  // Writes the version after `over`, durably, and returns its number. kBusy: somebody else wrote first, or
  // may have; read again. On any other error the version may have been written or not.
  Result<uint64_t> Write(uint64_t over, std::string_view content) const;

  const std::filesystem::path& directory() const { return directory_; }

 private:
  Result<void> RemoveOlder(uint64_t than) const;
  std::filesystem::path directory_;
};

}  // namespace holdfast
