// Puts the stored content of shared memory back.
#pragma once

#include <sys/types.h>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

// Into the object that the restored, still stopped process `pid` maps at `address`, from all cores. Requires:
// the object is empty, and its size what it was.
Result<void> FillSharedObject(pid_t pid, uint64_t address, const SharedObject& object,
                              const Manifest& manifest, const BlockReader& blocks);

}  // namespace holdfast
