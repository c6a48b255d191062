#include "memory/shared_fill.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/page.h"
#include "base/parallel.h"
#include "linux/proc.h"
#include "memory/extent_reader.h"

namespace holdfast {
namespace {

// All of an object, mapped here.
class MappedObject {
 public:
  static Result<MappedObject> Open(const std::string& path) {
    const Fd fd(open(path.c_str(), O_RDWR | O_CLOEXEC));
    struct stat status {};
    if (!fd.valid() || fstat(fd.get(), &status) != 0) return FailErrno("cannot open shared memory " + path);
    const size_t bytes = (static_cast<size_t>(status.st_size) + kPageBytes - 1) / kPageBytes * kPageBytes;
    if (bytes == 0) return MappedObject(nullptr, 0);
    // Not by write(2): on one object it is one thread at a time.
    void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (start == MAP_FAILED) return FailErrno("cannot map shared memory " + path);
    return MappedObject(static_cast<std::byte*>(start), bytes);
  }
  MappedObject(MappedObject&& other) noexcept
      : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MappedObject& operator=(MappedObject&&) = delete;
  ~MappedObject() {
    if (bytes_ > 0) munmap(start_, bytes_);
  }

  // Thread-safe. CRIU makes an object as large as its mappings reach: what lies behind, nobody sees.
  Result<void> Put(const Extent& extent, ExtentReader& reader) const {
    if (extent.address >= bytes_) return {};
    const std::span<const std::byte> content = TRY(reader.Read(extent));
    std::copy_n(content.begin(), std::min(content.size(), bytes_ - extent.address), start_ + extent.address);
    return {};
  }

 private:
  MappedObject(std::byte* start, size_t bytes) : start_(start), bytes_(bytes) {}
  std::byte* start_;
  size_t bytes_;
};

Result<std::string> PathOf(pid_t pid, uint64_t address) {
  for (const Mapping& mapping : TRY(ReadMaps(pid))) {
    if (address < mapping.start || address >= mapping.end) continue;
    return fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.start, mapping.end);
  }
  return Fail(ErrorKind::kCriu, fmt::format("criu restored process {} without its shared memory", pid));
}

}  // namespace

Result<void> FillSharedObject(pid_t pid, uint64_t address, const SharedObject& object,
                              const Manifest& manifest, const BlockReader& blocks) {
  if (object.extents.empty()) return {};
  const MappedObject mapped = TRY(MappedObject::Open(TRY(PathOf(pid, address))));
  constexpr size_t kExtentsAtATime = 32;
  const size_t batches = (object.extents.size() + kExtentsAtATime - 1) / kExtentsAtATime;
  return ParallelFor(batches, [&](size_t batch) -> Result<void> {
    ExtentReader reader(manifest, blocks);
    const size_t end = std::min(object.extents.size(), (batch + 1) * kExtentsAtATime);
    for (size_t i = batch * kExtentsAtATime; i < end; ++i) {
      if (object.extents[i].block != kZeroBlock) TRY(mapped.Put(object.extents[i], reader));
    }
    return {};
  });
}

}  // namespace holdfast
