#include "linux/missing_pages.h"

#include <sys/ioctl.h>

#include <cerrno>

namespace holdfast {
namespace {

constexpr uint64_t kEvents =
    UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

MissingPages::Outcome OutcomeOf(int error) {
  switch (error) {
    case EEXIST:
      return MissingPages::Outcome::kPresent;
    case EAGAIN:
      return MissingPages::Outcome::kChanging;
    case ENOMEM:
      return MissingPages::Outcome::kNoMemory;
    case ESRCH:
      return MissingPages::Outcome::kGone;
    default:  // ENOENT: no mapping of ours, EINVAL: one of another kind
      return MissingPages::Outcome::kElsewhere;
  }
}

// `request(done)` gives what is left and returns how many bytes it gave, or -errno.
template <typename Request>
MissingPages::Given GiveAll(uint64_t bytes, const Request& request) {
  MissingPages::Given given;
  while (given.bytes < bytes) {
    const int64_t got = request(given.bytes);
    if (got > 0) {
      given.bytes += static_cast<uint64_t>(got);
    } else {
      given.outcome = OutcomeOf(static_cast<int>(-got));
      break;
    }
  }
  return given;
}

// The kernel's own count, where it wrote one; else errno.
int64_t Count(int result, int64_t counted) {
  if (counted != 0) return counted;
  return result == 0 ? 0 : -errno;
}

}  // namespace

Result<MissingPages> MissingPages::Enable(Fd userfaultfd, bool events) {
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = events ? kEvents : 0;
  if (ioctl(userfaultfd.get(), UFFDIO_API, &api) != 0) {
    return Fail(ErrorKind::kUnsupported,
                FailErrno("the kernel does not tell of missing pages (userfaultfd)").message);
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
  return GiveAll(pages.size(), [&](uint64_t done) {
    uffdio_copy request{};
    request.dst = address + done;
    request.src = reinterpret_cast<uint64_t>(pages.data() + done);
    request.len = pages.size() - done;
    const int result = ioctl(fd_.get(), UFFDIO_COPY, &request);
    return Count(result, request.copy);
  });
}

MissingPages::Given MissingPages::Zero(uint64_t address, uint64_t bytes) const {
  return GiveAll(bytes, [&](uint64_t done) {
    uffdio_zeropage request{};
    request.range = {address + done, bytes - done};
    const int result = ioctl(fd_.get(), UFFDIO_ZEROPAGE, &request);
    return Count(result, request.zeropage);
  });
}

void MissingPages::Wake(uint64_t start, uint64_t end) const {
  uffdio_range range{start, end - start};
  ioctl(fd_.get(), UFFDIO_WAKE, &range);
}

// The kernel looks at that before it looks at the request (fs/userfaultfd.c, userfaultfd_zeropage).
bool MissingPages::IsChanging() const {
  return ioctl(fd_.get(), UFFDIO_ZEROPAGE, nullptr) != 0 && errno == EAGAIN;
}

}  // namespace holdfast
