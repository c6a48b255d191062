// Asynchronous write protection by userfaultfd (Linux 6.7, Documentation/admin-guide/mm/userfaultfd.rst): a
// write to a protected page goes on at once and leaves its mark, which PAGEMAP_SCAN finds. Nothing is asked
// of us, and nothing stops when we die: the kernel takes the protection away with the last descriptor.
#pragma once

#include <linux/userfaultfd.h>

#include <cstdint>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

inline constexpr uint64_t kFeatureWriteProtectAsync =
    1 << 15;  // UFFD_FEATURE_WP_ASYNC; Debian 12's headers lack it

class WriteProtection {
 public:
  // kOfOthers: who forks with a registered mapping, or moves, discards or unmaps a part of one, waits until
  // that has been read (needs CAP_SYS_PTRACE).
  enum class Events { kNone, kOfOthers };
  // `userfaultfd`: new, of the address space that is meant (it may be another process's). kUnsupported when
  // the kernel cannot do it.
  static Result<WriteProtection> Enable(Fd userfaultfd, Events events = Events::kNone);

  // Of one mapping, idempotent. Protects nothing yet (PagemapScanner::ProtectWritten does). False: the kernel
  // does not take this kind of mapping.
  bool Register(uint64_t start, uint64_t end) const;
  // Takes every protection in a registered range away. False: not all of the range is registered any more.
  bool Clear(uint64_t start, uint64_t end) const;
  // With a descriptor that was enabled, and released, before.
  static WriteProtection Continue(Fd userfaultfd) { return WriteProtection(std::move(userfaultfd)); }
  Fd Release() && { return std::move(fd_); }

  int descriptor() const { return fd_.get(); }
  // The next event. False: there is none. A descriptor that a fork brings is the caller's.
  bool Read(uffd_msg& into) const;

 private:
  explicit WriteProtection(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace holdfast
