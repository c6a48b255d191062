// The backend that is a directory: a local disk, a volume, NFS.
#pragma once

#include <memory>

#include "base/fd.h"
#include "store/backend.h"

namespace holdfast {

// `root`: an open directory.
std::unique_ptr<Backend> MakeDirectoryBackend(Fd root);

}  // namespace holdfast
