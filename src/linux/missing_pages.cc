#include "linux/missing_pages.h"

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace holdfast {

Result<MissingPages> MissingPages::Enable(Fd userfaultfd) {
  uffdio_api api{};
  api.api = UFFD_API;
  if (ioctl(userfaultfd.get(), UFFDIO_API, &api) != 0) {
    return Fail(ErrorKind::kUnsupported,
                FailErrno("the kernel takes no missing pages (userfaultfd)").message);
  }
  return MissingPages(std::move(userfaultfd));
}

bool MissingPages::Register(uint64_t start, uint64_t end) const {
  uffdio_register request{};
  request.range = {start, end - start};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  return ioctl(fd_.get(), UFFDIO_REGISTER, &request) == 0;
}

MissingPages::Given MissingPages::Copy(uint64_t address, std::span<const std::byte> pages) const {
  Given given;
  while (given.bytes < pages.size()) {
    uffdio_copy request{};
    request.dst = address + given.bytes;
    request.src = reinterpret_cast<uint64_t>(pages.data() + given.bytes);
    request.len = pages.size() - given.bytes;
    const int result = ioctl(fd_.get(), UFFDIO_COPY, &request);
    const int error = errno;
    if (request.copy > 0) {
      given.bytes += static_cast<uint64_t>(request.copy);
    } else {
      given.error = result != 0 ? error : EIO;
      break;
    }
  }
  return given;
}

}  // namespace holdfast
