// PAGEMAP_SCAN (Linux 6.7, Documentation/admin-guide/mm/pagemap.rst): which pages of another process are
// there, found without looking at each one from user space.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

// Page categories, linux/fs.h.
enum PageCategory : uint64_t {
  kPageWriteProtectAllowed = 1 << 0,
  kPageWritten = 1 << 1,
  kPageFile = 1 << 2,
  kPagePresent = 1 << 3,
  kPageSwapped = 1 << 4,
  kPageZeroFrame = 1 << 5,
  kPageHuge = 1 << 6,
  kPageSoftDirty = 1 << 7,
};

struct PageRegion {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t categories = 0;

  uint64_t bytes() const { return end - start; }
};

class PagemapScanner {
 public:
  static Result<PagemapScanner> Open(pid_t pid);
  // The private pages of [start, end): anonymous, or copied on write; not the file's own, not the shared zero
  // page; kPageHuge is told. In order of address.
  Result<std::vector<PageRegion>> PrivatePages(uint64_t start, uint64_t end) const;
  // The places of [start, end) where there is something: a page of whatever kind, a swapped one, a guard.
  Result<std::vector<PageRegion>> Occupied(uint64_t start, uint64_t end) const;
  // The guards in [start, end) (MADV_GUARD_INSTALL, Linux 6.13): places where any access is a fault.
  Result<std::vector<PageRegion>> Guards(uint64_t start, uint64_t end) const;

  // What follows needs Linux's asynchronous write protection (write_protection.h).

  // Whether the mapping at `address` is registered, so that its pages can be protected.
  Result<bool> IsRegistered(uint64_t address) const;
  // The parts of [start, end) that are not protected: pages that were written to, and places without a page
  // next to some. Quick, 0.5 ms for a GiB: nothing is asked about any page but its mark, which may be left
  // from elsewhere unless the mapping is registered. Kernels that forget places without a page table there
  // (before "fix PAGEMAP_SCAN written state for PMD holes", fs/proc/task_mmu.c) are asked the long way.
  Result<std::vector<PageRegion>> Unprotected(uint64_t start, uint64_t end) const;
  // The private pages of [start, end) that are not protected.
  Result<std::vector<PageRegion>> UnprotectedPages(uint64_t start, uint64_t end) const;
  // Protects every page in registered mappings of [start, end) that is there, the shared page of zeros
  // (kPageZeroFrame) too, and returns those that were not protected before; no write in between is missed.
  Result<std::vector<PageRegion>> Protect(uint64_t start, uint64_t end) const;
  // Protects all of [start, end) in registered mappings, places without a page too: the page that comes there
  // is protected until it is written to. Page tables are made for it, 2 MiB for each GiB.
  Result<void> ProtectPlaces(uint64_t start, uint64_t end) const;
  // The same, found the long way: all but the places that are known to be protected.
  Result<std::vector<PageRegion>> UnprotectedByPlaces(uint64_t start, uint64_t end) const;
  // Whether there are protected pages in [start, end), whatever mapping that is.
  Result<bool> HasProtected(uint64_t start, uint64_t end) const;

 private:
  struct Query {
    uint64_t flags = 0;
    uint64_t inverted = 0;
    uint64_t all_of = 0;
    uint64_t any_of = kPagePresent | kPageSwapped;
    uint64_t returned = 0;
    uint64_t pages_max = 0;  // 0: all
  };
  // Whether places without a page table are told as not protected.
  static bool TellsOfHoles();
  template <typename Visit>
  Result<void> Scan(uint64_t start, uint64_t end, const Query& query, const Visit& visit) const;
  // The regions of a query, but for markers.
  Result<std::vector<PageRegion>> Pages(uint64_t start, uint64_t end, const Query& query) const;
  // Those of a swapped region that are memory.
  Result<void> AddSwapped(const PageRegion& region, std::vector<PageRegion>& pages) const;
  // Those whose entry in the page table is so.
  template <typename Predicate>
  Result<void> AddPages(const PageRegion& region, const Predicate& is_wanted,
                        std::vector<PageRegion>& pages) const;
  explicit PagemapScanner(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
