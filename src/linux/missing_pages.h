// Pages that are brought in when they are first touched: userfaultfd's registration for missing pages
// (Documentation/admin-guide/mm/userfaultfd.rst). A thread that touches one waits until it is given; what
// else happens to the memory (fork, mremap, munmap, MADV_DONTNEED) is told as an event, and whoever did it
// waits until that has been read. With the last descriptor the registration ends, and a missing page is a
// page of zeros.
#pragma once

#include <linux/userfaultfd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

class MissingPages {
 public:
  // `userfaultfd`: new, of the address space that is meant (it may be another process's). `events`: with
  // those named above, which is what memory that is in use needs. kUnsupported when the kernel lacks them.
  static Result<MissingPages> Enable(Fd userfaultfd, bool events);
  // With a descriptor that was enabled before.
  static MissingPages Continue(Fd userfaultfd) { return MissingPages(std::move(userfaultfd)); }

  int fd() const { return fd_.get(); }
  Fd Release() && { return std::move(fd_); }

  // Of one mapping. False: the kernel does not take this kind of mapping.
  bool Register(uint64_t start, uint64_t end) const;

  enum class Outcome {
    kDone,
    kPresent,    // there is a page at this place
    kElsewhere,  // this place is not registered (any more)
    kChanging,   // events have to be read first
    kNoMemory,   // as little as the job's cgroup has left
    kGone,       // the address space has ended
  };
  // Thread-safe. Both stop at the first page that they cannot give, and say how many bytes came before it.
  struct Given {
    uint64_t bytes = 0;
    Outcome outcome = Outcome::kDone;
  };
  Given Copy(uint64_t address, std::span<const std::byte> pages) const;
  Given Zero(uint64_t address, uint64_t bytes) const;
  // Has threads that wait for a page in the range look again, and ask again.
  void Wake(uint64_t start, uint64_t end) const;
  // Whether something happens to the memory whose event has not been read yet.
  bool IsChanging() const;

 private:
  explicit MissingPages(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
