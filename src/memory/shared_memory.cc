#include "memory/shared_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/fd.h"
#include "base/page.h"
#include "memory/drain.h"

namespace holdfast {
namespace {

constexpr std::string_view kMemfdPrefix = "/memfd:";

// criu_plugin/interposer.cc hides the content of the same ones from CRIU.
bool IsSharedMemory(const Mapping& mapping) {
  return mapping.shared && (mapping.name.starts_with("/dev/zero") || mapping.name.starts_with(kMemfdPrefix) ||
                            mapping.name.starts_with("[anon_shmem"));
}

// The stretches of a file that hold data. What SEEK_DATA cannot tell is all data.
Result<std::vector<StagedMemory::Wanted>> DataIn(const Fd& fd, uint64_t size) {
  std::vector<StagedMemory::Wanted> wanted;
  const uint64_t end = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  off_t at = 0;
  while (static_cast<uint64_t>(at) < size) {
    off_t data = lseek(fd.get(), at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    off_t hole = 0;
    if (data < 0) {
      data = at;
      hole = static_cast<off_t>(end);
    } else {
      hole = lseek(fd.get(), data, SEEK_HOLE);
      if (hole < 0) return FailErrno("lseek(SEEK_HOLE)");
    }
    const uint64_t from = static_cast<uint64_t>(data) / kPageBytes * kPageBytes;
    const uint64_t to = (static_cast<uint64_t>(hole) + kPageBytes - 1) / kPageBytes * kPageBytes;
    wanted.push_back({from, to - from, false});
    at = static_cast<off_t>(to);
  }
  return wanted;
}

}  // namespace

Result<void> SharedMemoryCapture::CaptureFrozen(pid_t pid, const std::vector<Mapping>& mappings) {
  for (const Mapping& mapping : mappings) {
    if (!IsSharedMemory(mapping) || seen_.contains(mapping.inode)) continue;
    const std::string path = fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.start, mapping.end);
    TRY(CaptureObject(path, mapping.name));
  }
  // A memfd may be open and not mapped.
  const std::string directory = fmt::format("/proc/{}/fd", pid);
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return FailErrno("cannot read " + directory);
  std::vector<std::pair<std::string, std::string>> memfds;
  while (const dirent* entry = readdir(entries)) {
    const std::string path = directory + "/" + entry->d_name;
    std::array<char, 64> target{};
    const ssize_t length = readlink(path.c_str(), target.data(), target.size());
    const std::string_view name(target.data(), length < 0 ? 0 : static_cast<size_t>(length));
    if (name.starts_with(kMemfdPrefix)) memfds.emplace_back(path, name);
  }
  closedir(entries);
  for (const auto& [path, name] : memfds) TRY(CaptureObject(path, name));
  return {};
}

Result<void> SharedMemoryCapture::CaptureObject(const std::string& path, const std::string& name) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open shared memory " + path);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return FailErrno("cannot stat shared memory " + path);
  if (!seen_.insert(status.st_ino).second) return {};
  Object object;
  object.inode = status.st_ino;
  object.name = name;
  const auto read = [&fd, &path](uint64_t offset, std::span<std::byte> out) -> Result<void> {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got =
          pread(fd.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno("cannot read shared memory " + path);
      if (got == 0) break;  // the rest of the last page; staging is zeroed
      done += static_cast<size_t>(got);
    }
    return {};
  };
  TRY(object.content.Copy(TRY(DataIn(fd, static_cast<uint64_t>(status.st_size))), read));
  objects_.push_back(std::move(object));
  return {};
}

Result<std::vector<SharedObject>> SharedMemoryCapture::Drain(PendingSnapshot& pending) {
  std::vector<SharedObject> stored;
  for (Object& object : objects_) {
    SharedObject shared;
    shared.id = object.inode;
    shared.name = object.name;
    shared.extents = TRY(DrainStaged(object.content, pending, [](uint64_t) { return false; }));
    object.content = StagedMemory();
    stored.push_back(std::move(shared));
  }
  return stored;
}

uint64_t SharedMemoryCapture::bytes() const {
  uint64_t bytes = 0;
  for (const Object& object : objects_) {
    for (const StagedRange& range : object.content.ranges()) bytes += range.bytes.size();
  }
  return bytes;
}

}  // namespace holdfast
