#include "linux/write_protection.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

namespace holdfast {
Result<WriteProtection> WriteProtection::Enable(Fd userfaultfd) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kFeatureWriteProtectAsync;
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

}  // namespace holdfast
