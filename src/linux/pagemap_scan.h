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

 private:
  // Those of a swapped region that are memory.
  Result<void> AddSwapped(const PageRegion& region, std::vector<PageRegion>& pages) const;
  explicit PagemapScanner(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
