// Stores captured private memory.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/limits.h"
#include "base/progress.h"
#include "base/result.h"
#include "linux/pagemap_scan.h"
#include "linux/proc.h"
#include "memory/memory_twin.h"
#include "memory/staged_memory.h"
#include "store/store.h"

namespace holdfast {

// Whether the engine captures what is in a mapping: private, and not one of the kernel's own ([vdso], [vvar],
// ...).
bool IsCaptured(const Mapping& mapping);
// Whether it is captured, and no file's.
bool IsAnonymous(const Mapping& mapping);

// Pages of a process to be stored.
struct PageRun {
  uint64_t address = 0;
  uint64_t bytes = 0;
  bool huge = false;
  bool over_file = false;  // a private file mapping: zeros must be kept, since absent means "as in the file"
};

// The private pages of `pid` within the captured ones of `mappings`.
Result<std::vector<PageRun>> FindPages(pid_t pid, const std::vector<Mapping>& mappings);

// Stores the runs of `pid` (a twin, or a stopped task). With `twin`, gives its pages back as they are stored.
Result<std::vector<Extent>> DrainProcess(pid_t pid, const std::vector<PageRun>& runs,
                                         PendingSnapshot& pending, MemoryTwin* twin,
                                         const std::function<void(uint64_t)>& advanced,
                                         const Progress* progress);

// Stores what is in the runs of a process that runs on. What it has unmapped meanwhile is left
// out, and what it writes meanwhile may be torn: only good together with WriteTracking.
Result<std::vector<Extent>> DrainRunning(pid_t pid, const std::vector<PageRun>& runs,
                                         PendingSnapshot& pending,
                                         const std::function<void(uint64_t)>& advanced,
                                         const Progress* progress);

// Stores staged ranges, in blocks that begin at multiples of `block_bytes`. `keep_zeros` as
// PageRun::over_file, by address.
Result<std::vector<Extent>> DrainStaged(const StagedMemory& staged, PendingSnapshot& pending,
                                        const std::function<bool(uint64_t address)>& keep_zeros,
                                        uint64_t block_bytes = limits::kBlockBytesMax);

void SortExtents(std::vector<Extent>& extents);

}  // namespace holdfast
