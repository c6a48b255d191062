#include "linux/pagemap_scan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/page.h"
#include "linux/write_protection.h"

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

constexpr uint64_t kProtectMatching = 1;  // PM_SCAN_WP_MATCHING

constexpr uint64_t kNoMemory = kPageFile | kPageZeroFrame;  // the file's own page, the shared page of zeros

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

// The kinds of markers are where an offset in a swap device is otherwise (bits 5 to 54; PTE_MARKER_GUARD).
bool IsGuard(uint64_t entry) {
  constexpr int kOffsetShift = 5;
  constexpr uint64_t kGuard = 4;
  return IsMarker(entry) && (entry >> kOffsetShift & kGuard) != 0;
}

}  // namespace

Result<PagemapScanner> PagemapScanner::Open(pid_t pid) {
  const std::string path = fmt::format("/proc/{}/pagemap", pid);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open " + path);
  return PagemapScanner(std::move(fd));
}

// Every region of pages that are there and match, to `visit`.
template <typename Visit>
Result<void> PagemapScanner::Scan(uint64_t start, uint64_t end, const Query& query,
                                  const Visit& visit) const {
  // Not more than the kernel gathers at a time (PAGEMAP_WALK_SIZE, fs/proc/task_mmu.c): with more asked for,
  // Linux 6.18 may give a walk_end that lies before the last region it returned.
  // Nor more than there can be: the kernel takes memory for so many, which is most of the price of a question
  // about few pages.
  std::array<KernelRegion, 512> found;  // NOLINT(cppcoreguidelines-pro-type-member-init): the kernel fills it
  while (start < end) {
    KernelScan scan{};
    scan.size = sizeof scan;
    scan.flags = query.flags;
    scan.start = start;
    scan.end = end;
    scan.regions = reinterpret_cast<uint64_t>(found.data());
    scan.region_count = std::min<uint64_t>(found.size(), (end - start) / kPageBytes);
    scan.category_inverted = query.inverted;
    scan.category_mask = query.inverted | query.all_of;
    scan.category_anyof_mask = query.any_of;
    scan.return_mask = query.returned;
    scan.pages_max = query.pages_max;
    const int count = ioctl(fd_.get(), kPagemapScan, &scan);
    if (count < 0) return FailErrno(fmt::format("PAGEMAP_SCAN of {:x}-{:x}", start, end));
    for (int i = 0; i < count; ++i) {
      const KernelRegion& region = found.at(static_cast<size_t>(i));
      TRY(visit(PageRegion{region.start, region.end, region.categories}));
    }
    uint64_t next = scan.walk_end;
    if (count > 0) next = std::max(next, found.at(static_cast<size_t>(count) - 1).end);
    if (next <= start || query.pages_max != 0) break;
    start = next;
  }
  return {};
}

// Tried on memory of ours for which there is no page table yet. False also where it cannot be tried.
bool PagemapScanner::TellsOfHoles() {
  constexpr uint64_t kTableBytes = 2ull << 20;        // what one page table is for
  constexpr int kFlags = O_CLOEXEC | O_NONBLOCK | 1;  // UFFD_USER_MODE_ONLY
  Result<WriteProtection> protection =
      WriteProtection::Enable(Fd(static_cast<int>(syscall(SYS_userfaultfd, kFlags))));
  const Result<PagemapScanner> scanner = Open(getpid());
  if (!protection || !scanner) return false;
  void* room = mmap(nullptr, 2 * kTableBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return false;
  const uint64_t start = (reinterpret_cast<uint64_t>(room) + kTableBytes - 1) / kTableBytes * kTableBytes;
  bool told = false;
  if (protection->Register(start, start + kTableBytes)) {
    const Query marks{.all_of = kPageWritten, .any_of = 0, .returned = kPageWritten};
    const Result<void> asked =
        scanner->Scan(start, start + kTableBytes, marks, [&](const PageRegion& region) -> Result<void> {
          told = region.start == start && region.end == start + kTableBytes;
          return {};
        });
    told = told && asked;
  }
  munmap(room, 2 * kTableBytes);
  return told;
}

Result<std::vector<PageRegion>> PagemapScanner::Pages(uint64_t start, uint64_t end,
                                                      const Query& query) const {
  std::vector<PageRegion> pages;
  TRY(Scan(start, end, query, [&](const PageRegion& region) -> Result<void> {
    if ((region.categories & kPageSwapped) != 0) return AddSwapped(region, pages);
    pages.push_back(region);
    return {};
  }));
  return pages;
}

Result<std::vector<PageRegion>> PagemapScanner::PrivatePages(uint64_t start, uint64_t end) const {
  return Pages(start, end, {.inverted = kNoMemory, .returned = kPageHuge | kPageSwapped});
}

Result<std::vector<PageRegion>> PagemapScanner::Occupied(uint64_t start, uint64_t end) const {
  std::vector<PageRegion> places;
  TRY(Scan(start, end, {}, [&places](const PageRegion& region) -> Result<void> {
    places.push_back(region);
    return {};
  }));
  return places;
}

Result<bool> PagemapScanner::IsRegistered(uint64_t address) const {
  bool registered = false;
  const Query one{.any_of = 0, .returned = kPageWriteProtectAllowed, .pages_max = 1};
  TRY(Scan(address, address + kPageBytes, one, [&registered](const PageRegion& page) -> Result<void> {
    registered = (page.categories & kPageWriteProtectAllowed) != 0;
    return {};
  }));
  return registered;
}

Result<std::vector<PageRegion>> PagemapScanner::UnprotectedByPlaces(uint64_t start, uint64_t end) const {
  std::vector<PageRegion> regions;
  uint64_t from = start;
  TRY(Scan(start, end, {.inverted = kPageWritten}, [&](const PageRegion& region) -> Result<void> {
    if (region.start > from) regions.push_back({from, region.start, kPageWritten});
    from = region.end;
    return {};
  }));
  if (from < end) regions.push_back({from, end, kPageWritten});
  return regions;
}

// The kernel has a short way for exactly this question (pagemap_scan_pmd_entry, fs/proc/task_mmu.c).
Result<std::vector<PageRegion>> PagemapScanner::Unprotected(uint64_t start, uint64_t end) const {
  static const bool kTellsOfHoles = TellsOfHoles();
  if (!kTellsOfHoles) return UnprotectedByPlaces(start, end);
  std::vector<PageRegion> regions;
  const Query marks{.all_of = kPageWritten, .any_of = 0, .returned = kPageWritten};
  TRY(Scan(start, end, marks, [&regions](const PageRegion& region) -> Result<void> {
    regions.push_back(region);
    return {};
  }));
  return regions;
}

Result<std::vector<PageRegion>> PagemapScanner::UnprotectedPages(uint64_t start, uint64_t end) const {
  return Pages(start, end,
               {.inverted = kNoMemory, .all_of = kPageWritten, .returned = kPageHuge | kPageSwapped});
}

// What is there is asked for, though it costs the short way: on that one the kernel would leave marks in
// empty places, too.
Result<std::vector<PageRegion>> PagemapScanner::Protect(uint64_t start, uint64_t end) const {
  return Pages(
      start, end,
      {.flags = kProtectMatching, .all_of = kPageWritten, .returned = kPageHuge | kPageSwapped | kNoMemory});
}

// Asked for nothing in return, the kernel takes the short way, on which it leaves marks in empty places.
Result<void> PagemapScanner::ProtectPlaces(uint64_t start, uint64_t end) const {
  while (start < end) {
    KernelScan scan{};
    scan.size = sizeof scan;
    scan.flags = kProtectMatching;
    scan.start = start;
    scan.end = end;
    scan.category_mask = kPageWritten;
    if (ioctl(fd_.get(), kPagemapScan, &scan) < 0) {
      return FailErrno(fmt::format("PAGEMAP_SCAN of {:x}-{:x}", start, end));
    }
    if (scan.walk_end <= start) break;
    start = scan.walk_end;
  }
  return {};
}

Result<bool> PagemapScanner::HasProtected(uint64_t start, uint64_t end) const {
  bool found = false;
  const Query one{.inverted = kPageWritten, .returned = kPageWritten, .pages_max = 1};
  TRY(Scan(start, end, one, [&found](const PageRegion&) -> Result<void> {
    found = true;
    return {};
  }));
  return found;
}

Result<std::vector<PageRegion>> PagemapScanner::Guards(uint64_t start, uint64_t end) const {
  std::vector<PageRegion> guards;
  const Query swapped{.any_of = kPageSwapped, .returned = kPageSwapped};
  TRY(Scan(start, end, swapped, [&](const PageRegion& region) { return AddPages(region, IsGuard, guards); }));
  return guards;
}

Result<void> PagemapScanner::AddSwapped(const PageRegion& region, std::vector<PageRegion>& pages) const {
  return AddPages(
      region, [](uint64_t entry) { return !IsMarker(entry); }, pages);
}

template <typename Predicate>
Result<void> PagemapScanner::AddPages(const PageRegion& region, const Predicate& is_wanted,
                                      std::vector<PageRegion>& pages) const {
  std::array<uint64_t, 512> entries{};
  for (uint64_t at = region.start; at < region.end;) {
    const size_t count = std::min<uint64_t>(entries.size(), (region.end - at) / kPageBytes);
    const auto bytes = static_cast<ssize_t>(count * sizeof(uint64_t));
    const auto offset = static_cast<off_t>(at / kPageBytes * sizeof(uint64_t));
    if (pread(fd_.get(), entries.data(), static_cast<size_t>(bytes), offset) != bytes) {
      return FailErrno(fmt::format("cannot read the pagemap at {:x}", at));
    }
    for (size_t i = 0; i < count; ++i, at += kPageBytes) {
      if (!is_wanted(entries.at(i))) continue;
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
