// One file under capture: open, with what Prepare stored of it.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "files/found_files.h"
#include "store/hash.h"
#include "store/manifest.h"

namespace holdfast {

// What tells that a file has not been written to.
struct FileTimes {
  uint64_t bytes = 0;
  int64_t mtime_ns = 0;
  int64_t ctime_ns = 0;
  bool operator==(const FileTimes&) const = default;
};
FileTimes TimesOf(const struct stat& status);

struct StoredBlock {
  Hash128 hash{};
  uint32_t index = kZeroBlock;
  uint32_t bytes = 0;  // 0: Prepare has not stored this block
};

struct TrackedFile {
  FoundFile found;  // as last seen
  Fd fd;            // invalid: cannot be read, and `unreadable` says why
  std::string unreadable;
  Fd place;         // O_PATH, of one that was found by name and cannot be read: else nothing leads to it
  FileTimes times;  // before Prepare read it
  bool times_tell = false;  // of this file system: no write without a change of times
  bool settled = false;     // unchanged times mean unchanged content
  Fd copy;  // of a file that can be reflinked and is worth it: where to, in the same file system, without a
            // name
  std::vector<StoredBlock> stored;

  bool IsWhollyStored() const;

  // Whether block `number` of a file of `file_bytes` bytes, found with these bytes (none: a hole), is what
  // Prepare stored.
  bool IsStored(uint64_t number, uint64_t file_bytes, std::span<const std::byte> bytes) const;
};

// Opens what `found` leads to. Nothing: it is not a file of ours (a pseudo file system), or the descriptor
// means another file by now. A file that we may not read is tracked with `unreadable` set.
// `settled_after_seconds`: see FileCaptureOptions.
Result<std::optional<TrackedFile>> TrackFile(const FoundFile& found, double settled_after_seconds);

}  // namespace holdfast
