#include "memory/shared_objects.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>

#include "base/page.h"

namespace holdfast {
namespace {

constexpr std::string_view kMemfdPrefix = "/memfd:";

class Finder {
 public:
  Result<void> LookAt(pid_t pid) {
    for (const Mapping& mapping : TRY(ReadMaps(pid))) {
      if (!IsSharedMemory(mapping)) continue;
      const auto [object, fresh] = Take(mapping.inode);
      if (fresh) {
        object->name = mapping.name;
        object->path = fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, mapping.start, mapping.end);
      }
      object->uses.push_back({pid, mapping.inode, mapping.start, mapping.end, mapping.offset});
    }
    return LookAtDescriptors(pid);
  }

  std::vector<FoundObject> Take() { return std::move(objects_); }

 private:
  // A memfd may be open and not mapped.
  Result<void> LookAtDescriptors(pid_t pid) {
    const std::string directory = fmt::format("/proc/{}/fd", pid);
    const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(directory.c_str()), closedir);
    if (entries == nullptr) return FailErrno("cannot read " + directory);
    while (const dirent* entry = readdir(entries.get())) {
      const std::string path = directory + "/" + entry->d_name;
      std::array<char, 64> target{};
      const ssize_t length = readlink(path.c_str(), target.data(), target.size());
      const std::string_view name(target.data(), length < 0 ? 0 : static_cast<size_t>(length));
      if (!name.starts_with(kMemfdPrefix)) continue;
      struct stat status {};
      if (stat(path.c_str(), &status) != 0) return FailErrno("cannot stat shared memory " + path);
      const auto [object, fresh] = Take(status.st_ino);
      if (!fresh) continue;
      object->name = name;
      object->path = path;
    }
    return {};
  }

  std::pair<FoundObject*, bool> Take(uint64_t inode) {
    const auto [place, fresh] = place_of_.try_emplace(inode, objects_.size());
    if (fresh) objects_.emplace_back().inode = inode;
    return {&objects_[place->second], fresh};
  }

  std::vector<FoundObject> objects_;
  std::map<uint64_t, size_t> place_of_;
};

}  // namespace

bool FoundObject::IsAnonymous() const {
  return !name.starts_with(kMemfdPrefix);
}

bool IsSharedMemory(const Mapping& mapping) {
  return mapping.shared && (mapping.name.starts_with("/dev/zero") || mapping.name.starts_with(kMemfdPrefix) ||
                            mapping.name.starts_with("[anon_shmem"));
}

Result<std::vector<FoundObject>> FindSharedObjects(const std::vector<pid_t>& pids, bool ended_too) {
  Finder finder;
  for (const pid_t pid : pids) {
    const Result<void> looked = finder.LookAt(pid);
    if (!looked && !ended_too) return Error(looked.error());
  }
  return finder.Take();
}

Result<SharedObjectFile> SharedObjectFile::Open(const FoundObject& object) {
  Fd fd(open(object.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open shared memory " + object.path);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return FailErrno("cannot stat shared memory " + object.path);
  if (status.st_ino != object.inode) {
    return Fail(ErrorKind::kBusy, "shared memory at " + object.path + " has been replaced");
  }
  return SharedObjectFile(object.path, std::move(fd));
}

Result<void> SharedObjectFile::Read(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read shared memory " + path_);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  std::fill(out.begin() + static_cast<ptrdiff_t>(done), out.end(), std::byte{0});
  return {};
}

Result<std::vector<PageRun>> SharedObjectFile::DataIn(uint64_t start, uint64_t end) const {
  std::vector<PageRun> data_runs;
  end = std::min(end, (TRY(Bytes()) + kPageBytes - 1) / kPageBytes * kPageBytes);
  while (start < end) {
    const off_t data = lseek(fd_.get(), static_cast<off_t>(start), SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;
    uint64_t from = start;
    uint64_t to = end;
    if (data >= 0) {
      const off_t hole = lseek(fd_.get(), data, SEEK_HOLE);
      if (hole < 0) return FailErrno("lseek(SEEK_HOLE)");
      from = static_cast<uint64_t>(data) / kPageBytes * kPageBytes;
      to = std::min(end, (static_cast<uint64_t>(hole) + kPageBytes - 1) / kPageBytes * kPageBytes);
    }
    if (from >= end) break;
    data_runs.push_back({from, to - from});
    start = to;
  }
  return data_runs;
}

Result<uint64_t> SharedObjectFile::Bytes() const {
  struct stat status {};
  if (fstat(fd_.get(), &status) != 0) return FailErrno("cannot stat shared memory " + path_);
  return static_cast<uint64_t>(status.st_size);
}

Result<uint64_t> SharedObjectFile::BytesInUse() const {
  constexpr uint64_t kUnit = 512;  // stat(2)
  struct stat status {};
  if (fstat(fd_.get(), &status) != 0) return FailErrno("cannot stat shared memory " + path_);
  return static_cast<uint64_t>(status.st_blocks) * kUnit;
}

}  // namespace holdfast
