#include "linux/pagemap_scan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/page.h"

namespace holdfast {
namespace {

// struct page_region and struct pm_scan_arg, linux/fs.h; Debian 12's headers do not have them yet.
struct KernelRegion {
  uint64_t start;
  uint64_t end;
  uint64_t categories;
};

struct KernelScan {
  uint64_t size;
  uint64_t flags;
  uint64_t start;
  uint64_t end;
  uint64_t walk_end;
  uint64_t regions;
  uint64_t region_count;
  uint64_t pages_max;
  uint64_t category_inverted;
  uint64_t category_mask;
  uint64_t category_anyof_mask;
  uint64_t return_mask;
};
static_assert(sizeof(KernelRegion) == 24 && sizeof(KernelScan) == 96);

constexpr unsigned long kPagemapScan = _IOWR('f', 16, KernelScan);

// An entry of /proc/PID/pagemap, Documentation/admin-guide/mm/pagemap.rst: present (63), swapped (62), and
// the type of swap in the lowest five bits. The highest type is no swap but a marker in an empty place of the
// page table (SWP_PTE_MARKER, linux/swapops.h): a guard (MADV_GUARD_INSTALL), a poisoned page, a write
// protection.
bool IsMarker(uint64_t entry) {
  constexpr uint64_t kPresent = 1ull << 63;
  constexpr uint64_t kSwapped = 1ull << 62;
  constexpr uint64_t kTypeMask = 31;
  return (entry & kPresent) == 0 && (entry & kSwapped) != 0 && (entry & kTypeMask) == kTypeMask;
}

}  // namespace

Result<PagemapScanner> PagemapScanner::Open(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/pagemap", pid);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open " + path);
  return PagemapScanner(std::move(fd));
}

Result<std::vector<PageRegion>> PagemapScanner::PrivatePages(uint64_t start, uint64_t end) const {
  std::vector<PageRegion> pages;
  // Not more than the kernel gathers at a time (PAGEMAP_WALK_SIZE, fs/proc/task_mmu.c): with more asked for,
  // Linux 6.18 may give a walk_end that lies before the last region it returned.
  std::array<KernelRegion, 512> found{};
  while (start < end) {
    KernelScan scan{};
    scan.size = sizeof scan;
    scan.start = start;
    scan.end = end;
    scan.regions = reinterpret_cast<uint64_t>(found.data());
    scan.region_count = found.size();
    scan.category_inverted = kPageFile | kPageZeroFrame;
    scan.category_mask = kPageFile | kPageZeroFrame;
    scan.category_anyof_mask = kPagePresent | kPageSwapped;
    scan.return_mask = kPageHuge | kPageSwapped;
    const int count = ioctl(fd_.get(), kPagemapScan, &scan);
    if (count < 0) return FailErrno(fmt::format("PAGEMAP_SCAN of {:x}-{:x}", start, end));
    for (int i = 0; i < count; ++i) {
      const KernelRegion& region = found.at(static_cast<size_t>(i));
      const PageRegion pages_found{region.start, region.end, region.categories};
      if ((region.categories & kPageSwapped) == 0) {
        pages.push_back(pages_found);
      } else {
        TRY(AddSwapped(pages_found, pages));
      }
    }
    uint64_t next = scan.walk_end;
    if (count > 0) next = std::max(next, found.at(static_cast<size_t>(count) - 1).end);
    if (next <= start) break;
    start = next;
  }
  return pages;
}

Result<void> PagemapScanner::AddSwapped(const PageRegion& region, std::vector<PageRegion>& pages) const {
  std::array<uint64_t, 512> entries{};
  for (uint64_t at = region.start; at < region.end;) {
    const size_t count = std::min<uint64_t>(entries.size(), (region.end - at) / kPageBytes);
    const auto bytes = static_cast<ssize_t>(count * sizeof(uint64_t));
    const auto offset = static_cast<off_t>(at / kPageBytes * sizeof(uint64_t));
    if (pread(fd_.get(), entries.data(), static_cast<size_t>(bytes), offset) != bytes) {
      return FailErrno(fmt::format("cannot read the pagemap at {:x}", at));
    }
    for (size_t i = 0; i < count; ++i, at += kPageBytes) {
      if (IsMarker(entries.at(i))) continue;
      if (!pages.empty() && pages.back().end == at && pages.back().categories == region.categories) {
        pages.back().end = at + kPageBytes;
      } else {
        pages.push_back({at, at + kPageBytes, region.categories});
      }
    }
  }
  return {};
}

}  // namespace holdfast
