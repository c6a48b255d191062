// Pages that are put, whole, where there are none: userfaultfd's registration for missing pages
// (Documentation/admin-guide/mm/userfaultfd.rst), of a process that stands still. With the last descriptor
// the registration ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

class MissingPages {
 public:
  // `userfaultfd`: new, of the address space that is meant (it may be another process's). kUnsupported when
  // the kernel lacks them.
  static Result<MissingPages> Enable(Fd userfaultfd);

  // Of one mapping. False: the kernel does not take this kind of mapping.
  bool Register(uint64_t start, uint64_t end) const;

  // Thread-safe. Stops at the first page that it cannot give: how many bytes came before it, and the errno:
  // EEXIST when there is a page, ENOENT when the place is not registered or the range not within one mapping.
  struct Given {
    uint64_t bytes = 0;
    int error = 0;
  };
  Given Copy(uint64_t address, std::span<const std::byte> pages) const;

 private:
  explicit MissingPages(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
