// Files of the store: reached from the store's own descriptor and never through a symbolic link, written and
// read completely, with errors that say which file.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

// Opens `path` (relative) below `root`. A symbolic link anywhere in it is kCorrupt.
Result<Fd> OpenBeneath(int root, const std::string& path, int flags);
// The same for a regular file that is read.
Result<Fd> OpenFileToRead(int root, const std::string& path);
Result<Fd> OpenFolder(int root, const std::string& path);
// Makes the folder (0700) when it is missing; its parent must exist.
Result<Fd> OpenOrMakeFolder(int root, const std::string& path);

struct PathParts {
  std::string folder;  // "." when there is none
  std::string name;
};
PathParts SplitPath(const std::string& path);

// `what` is the file's name in the error message.
Result<void> WriteAll(int fd, uint64_t offset, std::span<const std::byte> data, const std::string& what);
// kCorrupt when the file ends before.
Result<void> ReadAll(int fd, uint64_t offset, std::span<std::byte> out, const std::string& what);
Result<struct stat> StatFd(int fd, const std::string& what);
Result<void> SyncFd(int fd, const std::string& what);

// An error of a writing call: a full file system, quota or file size limit is kNoSpace, with what was needed
// and what there is.
Error WriteError(int error_number, int fd, uint64_t needed_bytes, const std::string& what);

// Is `name` in `folder` still the file that `fd` is open on?
bool SameFile(int fd, int folder, const std::string& name);

std::string RandomHex(size_t bytes);

}  // namespace holdfast
