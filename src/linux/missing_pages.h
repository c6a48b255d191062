// Pages that are put, whole, where there are none: userfaultfd's registration for missing pages
// (Documentation/admin-guide/mm/userfaultfd.rst). A thread that touches such a place waits until a page is
// there. With the last copy of the descriptor, in whatever process, the registration ends, and what is
// missing then is zeros.
#pragma once

#include <linux/userfaultfd.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace holdfast {

// A view: the descriptor is the caller's, who keeps it open. Thread-safe.
class MissingPages {
 public:
  // Of the address space that is meant, which may be another process's.
  explicit MissingPages(int userfaultfd) : fd_(userfaultfd) {}

  // Once, on a new descriptor. kAll: whoever forks, or moves, discards or unmaps what is registered, waits
  // until that has been read (needs CAP_SYS_PTRACE). kUnsupported when the kernel lacks any of it.
  // kAllAndWrites: writes to pages that were put so are marked, as write_protection.h has it.
  enum class Events { kNone, kAll, kAllAndWrites };
  Result<void> Enable(Events events) const;

  // Whether the descriptor is open, and what it is meant to be.
  bool IsOpen() const;

  // Of one mapping. False: the kernel does not take this kind of mapping. kMarked: needs kAllAndWrites.
  enum class Writes { kNotMarked, kMarked };
  bool Register(uint64_t start, uint64_t end, Writes writes = Writes::kNotMarked) const;
  // Whether all of it lies in one registered mapping. kUnknown while IsChanging.
  enum class Registered { kYes, kNo, kUnknown };
  Registered IsRegistered(uint64_t start, uint64_t end) const;

  // Stops at the first page that it cannot give: how many bytes came before it, and the errno:
  // EEXIST when there is a page, ENOENT when the place is not registered or the range not within one mapping,
  // EAGAIN while IsChanging, ESRCH when the address space is gone.
  struct Given {
    uint64_t bytes = 0;
    int error = 0;
  };
  // kMarked: a page counts as not written to; the place is registered so. Any other counts as written.
  Given Copy(uint64_t address, std::span<const std::byte> pages, Writes writes = Writes::kNotMarked) const;
  // One page of zeros. The errno as above, 0: it is there.
  int GiveZeros(uint64_t address) const;

  // Lets who waits in this range look again.
  void Wake(uint64_t start, uint64_t end) const;
  void WakeAll() const;

  // Whether somebody is about to fork, move, discard or unmap, or has and the event has not been read yet. As
  // long as it is so nothing is given.
  bool IsChanging() const;
  // The next fault or event. False: there is none. A descriptor that a fork brings is the caller's.
  bool Read(uffd_msg& into) const;

 private:
  int fd_;
};

}  // namespace holdfast
