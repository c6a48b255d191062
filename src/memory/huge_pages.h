// Transparent huge pages of other processes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/units.h"
#include "store/manifest.h"

namespace holdfast {

inline constexpr uint64_t kHugeBytes = 2 * kMiB;

// The addresses of those that were whole at the snapshot.
std::vector<uint64_t> WholeHugePages(const std::vector<Extent>& extents);
// Makes [address, address + kHugeBytes) one huge page again, when the kernel can. Places without a page in it
// get zeros.
void CollapseHugePage(const Fd& pidfd, uint64_t address);

}  // namespace holdfast
