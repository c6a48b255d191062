// Puts stored memory back into a restored, still stopped process.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <set>

#include "base/result.h"
#include "linux/missing_pages.h"
#include "store/store.h"

namespace holdfast {

// Gives `pid` every extent from all cores, but for the pages in `skip` (page addresses; CRIU restored those).
// Where a huge page was, a huge page is made. `missing`: of the process, nothing registered yet, or null;
// with it, pages come in whole where there are none. `filled` is advanced by the bytes.
Result<void> FillMemory(pid_t pid, const AddressSpace& space, const std::set<uint64_t>& skip,
                        const Manifest& manifest, const BlockReader& blocks, const MissingPages* missing,
                        std::atomic<uint64_t>& filled);

}  // namespace holdfast
