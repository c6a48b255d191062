// Copies of files that share their extents with them (FICLONE: btrfs, xfs), made in no time while a job
// stands still and read when it runs again. They have no name, and are gone when they are closed.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/fd.h"

namespace holdfast {

// A place for a copy of the open `file`, which process `pid` knows as `path`, with such a copy in it already.
// Writes what is dirty of the file to the disk first. Invalid: the file system cannot.
Fd MakeReflinkPlace(int file, pid_t pid, const std::string& path);

// Starts writing to the disk what is dirty of the file, and waits for it: a reflink does so first of all, and
// the job need not stand still for it.
void WriteDirtyPages(int file);

// Makes `place` hold what `file` holds. The copy may be longer, where an earlier one was.
bool Reflink(int file, const Fd& place);

}  // namespace holdfast
