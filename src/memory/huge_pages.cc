#include "memory/huge_pages.h"

#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/page.h"

namespace holdfast {

std::vector<uint64_t> WholeHugePages(const std::vector<Extent>& extents) {
  std::vector<uint64_t> whole;
  uint64_t huge_page = 0;
  uint64_t bytes = 0;
  for (const Extent& extent : extents) {
    if (!extent.huge) continue;
    const uint64_t at = extent.address & ~(kHugeBytes - 1);
    if (at != huge_page) bytes = 0;
    huge_page = at;
    bytes += extent.pages * kPageBytes;
    if (bytes == kHugeBytes) whole.push_back(at);
  }
  return whole;
}

void CollapseHugePage(const Fd& pidfd, uint64_t address) {
  constexpr int kMadviseCollapse = 25;  // MADV_COLLAPSE, Linux 6.1
  iovec range{reinterpret_cast<void*>(address), kHugeBytes};
  syscall(SYS_process_madvise, pidfd.get(), &range, 1, kMadviseCollapse, 0);
}

}  // namespace holdfast
