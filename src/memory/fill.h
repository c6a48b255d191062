// Puts stored memory back into a restored, still stopped process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <set>

#include "base/result.h"
#include "store/store.h"

namespace holdfast {

// Writes every extent into `pid` from all cores, but for the pages in `skip` (page addresses; CRIU restored
// those). Where a huge page was, a huge page is made. `filled` is advanced by the bytes written.
Result<void> FillMemory(pid_t pid, const AddressSpace& space, const std::set<uint64_t>& skip,
                        const Manifest& manifest, const BlockReader& blocks, std::atomic<uint64_t>& filled);

}  // namespace holdfast
