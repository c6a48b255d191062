#include "linux/write_protection.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace holdfast {
Result<WriteProtection> WriteProtection::Enable(Fd userfaultfd, Events events) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kFeatureWriteProtectAsync;
  if (events == Events::kOfOthers) {
    api.features |= UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE |
                    UFFD_FEATURE_EVENT_UNMAP;
  }
  if (ioctl(userfaultfd.get(), UFFDIO_API, &api) != 0) {
    return Fail(ErrorKind::kUnsupported, "the kernel has no asynchronous write protection (Linux 6.7)");
  }
  return WriteProtection(std::move(userfaultfd));
}

bool WriteProtection::Register(uint64_t start, uint64_t end) const {
  uffdio_register request{};
  request.range = {start, end - start};
  request.mode = UFFDIO_REGISTER_MODE_WP;
  return ioctl(fd_.get(), UFFDIO_REGISTER, &request) == 0;
}

bool WriteProtection::Clear(uint64_t start, uint64_t end) const {
  uffdio_writeprotect request{};
  request.range = {start, end - start};
  return ioctl(fd_.get(), UFFDIO_WRITEPROTECT, &request) == 0;
}

bool WriteProtection::Read(uffd_msg& into) const {
  ssize_t got = -1;
  do {
    got = read(fd_.get(), &into, sizeof into);
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof into);
}

}  // namespace holdfast
