#include "linux/missing_pages.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/page.h"
#include "linux/write_protection.h"

namespace holdfast {
namespace {

constexpr uint64_t kAllEvents =
    UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP;

}  // namespace

Result<void> MissingPages::Enable(Events events) const {
  uffdio_api api{};
  api.api = UFFD_API;
  if (events != Events::kNone) api.features = kAllEvents;
  if (events == Events::kAllAndWrites) api.features |= kFeatureWriteProtectAsync;
  if (ioctl(fd_, UFFDIO_API, &api) != 0) {
    return Fail(ErrorKind::kUnsupported,
                FailErrno("the kernel takes no missing pages (userfaultfd)").message);
  }
  return {};
}

bool MissingPages::IsOpen() const {
  uffdio_range nothing{};
  return ioctl(fd_, UFFDIO_WAKE, &nothing) != 0 && errno == EINVAL;  // of another kind of file: ENOTTY
}

bool MissingPages::Register(uint64_t start, uint64_t end, Writes writes) const {
  uffdio_register request{};
  request.range = {start, end - start};
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  if (writes == Writes::kMarked) request.mode |= UFFDIO_REGISTER_MODE_WP;
  return ioctl(fd_, UFFDIO_REGISTER, &request) == 0;
}

// UFFDIO_CONTINUE is for shared memory. Of a registered anonymous mapping the kernel says EINVAL, of every
// other place ENOENT (mfill_atomic, mm/userfaultfd.c), also of one that a change under way has taken away.
MissingPages::Registered MissingPages::IsRegistered(uint64_t start, uint64_t end) const {
  uffdio_continue request{};
  request.range = {start, end - start};
  const int error = ioctl(fd_, UFFDIO_CONTINUE, &request) == 0 ? 0 : errno;
  if (error == EINVAL) return Registered::kYes;
  return error == ENOENT && !IsChanging() ? Registered::kNo : Registered::kUnknown;
}

MissingPages::Given MissingPages::Copy(uint64_t address, std::span<const std::byte> pages,
                                       Writes writes) const {
  Given given;
  while (given.bytes < pages.size()) {
    uffdio_copy request{};
    request.dst = address + given.bytes;
    request.src = reinterpret_cast<uint64_t>(pages.data() + given.bytes);
    request.len = pages.size() - given.bytes;
    request.mode = writes == Writes::kMarked ? UFFDIO_COPY_MODE_WP : 0;
    const int result = ioctl(fd_, UFFDIO_COPY, &request);
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

int MissingPages::GiveZeros(uint64_t address) const {
  uffdio_zeropage request{};
  request.range = {address, kPageBytes};
  return ioctl(fd_, UFFDIO_ZEROPAGE, &request) == 0 ? 0 : errno;
}

void MissingPages::Wake(uint64_t start, uint64_t end) const {
  uffdio_range range{start, end - start};
  ioctl(fd_, UFFDIO_WAKE, &range);
}

// The range must lie in the address space, whose size differs between machines and kernels (validate_range,
// fs/userfaultfd.c).
void MissingPages::WakeAll() const {
  constexpr int kAddressBitsMax = 57;
  constexpr int kAddressBitsMin = 32;
  constexpr uint64_t kLowest = 64 * 1024;  // above vm.mmap_min_addr
  for (int bits = kAddressBitsMax; bits >= kAddressBitsMin; --bits) {
    uffdio_range range{kLowest, (uint64_t{1} << bits) - kPageBytes - kLowest};
    if (ioctl(fd_, UFFDIO_WAKE, &range) == 0) return;
  }
}

// Asked before anything else is looked at (userfaultfd_copy, fs/userfaultfd.c); nothing to copy is EINVAL
// otherwise.
bool MissingPages::IsChanging() const {
  uffdio_copy nothing{};
  return ioctl(fd_, UFFDIO_COPY, &nothing) != 0 && errno == EAGAIN;
}

bool MissingPages::Read(uffd_msg& into) const {
  return read(fd_, &into, sizeof into) == sizeof into;
}

}  // namespace holdfast
