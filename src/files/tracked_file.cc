#include "files/tracked_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "base/zeros.h"
#include "files/file_blocks.h"
#include "files/file_times.h"

namespace holdfast {

namespace {

constexpr uint32_t kXfsMagic = 0x58465342;
constexpr uint32_t kF2fsMagic = 0xF2F52010;
constexpr uint32_t kCgroup1Magic = 0x27e0eb;

// Not: tmpfs, where a mapping writes without a change of times; network file systems, whose times are another
// machine's.
bool TimesTellWrites(uint32_t file_system) {
  constexpr std::array<uint32_t, 5> kTrusted = {EXT4_SUPER_MAGIC, kXfsMagic, BTRFS_SUPER_MAGIC, kF2fsMagic,
                                                OVERLAYFS_SUPER_MAGIC};
  return std::find(kTrusted.begin(), kTrusted.end(), file_system) != kTrusted.end();
}

// Kernel state that looks like files.
bool IsPseudo(uint32_t file_system) {
  constexpr std::array<uint32_t, 10> kPseudo = {
      PROC_SUPER_MAGIC, SYSFS_MAGIC,      kCgroup1Magic, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,
      TRACEFS_MAGIC,    SECURITYFS_MAGIC, BPF_FS_MAGIC,  PSTOREFS_MAGIC,      SELINUX_MAGIC};
  return std::find(kPseudo.begin(), kPseudo.end(), file_system) != kPseudo.end();
}

bool MeansNoDescriptorsLeft(int error_number) {
  return error_number == EMFILE || error_number == ENFILE || error_number == ENOMEM;
}

}  // namespace

FileTimes TimesOf(const struct stat& status) {
  return {static_cast<uint64_t>(status.st_size), Nanoseconds(status.st_mtim), Nanoseconds(status.st_ctim)};
}

bool TrackedFile::IsWhollyStored() const {
  return stored.size() == FileBlockCount(times.bytes) &&
         std::all_of(stored.begin(), stored.end(), [](const StoredBlock& block) { return block.bytes != 0; });
}

bool TrackedFile::IsStored(uint64_t number, uint64_t file_bytes, std::span<const std::byte> bytes) const {
  if (number >= stored.size()) return false;
  const StoredBlock& block = stored[number];
  if (block.bytes != FileBlockBytes(file_bytes, number)) return false;
  if (bytes.empty() || block.index == kZeroBlock) return block.index == kZeroBlock && IsAllZeros(bytes);
  return HashBytes128(bytes) == block.hash;
}

Result<std::optional<TrackedFile>> TrackFile(const FoundFile& found, double settled_after_seconds) {
  TrackedFile file;
  file.found = found;
  // O_NOATIME: the job's files keep their times. The rest guards against a descriptor that means something
  // else by now.
  constexpr int kFlags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  file.fd.Reset(::open(found.link.c_str(), kFlags | O_NOATIME));
  if (!file.fd.valid() && errno == EPERM) file.fd.Reset(::open(found.link.c_str(), kFlags));
  if (!file.fd.valid()) {
    const int error_number = errno;
    if (MeansNoDescriptorsLeft(error_number)) return FailErrno(error_number, "cannot open " + found.path);
    if (error_number == ENOENT) return std::nullopt;
    file.unreadable = std::generic_category().message(error_number);
    return file;
  }
  struct stat status {};
  if (::fstat(file.fd.get(), &status) != 0) return FailErrno("cannot look at " + found.path);
  struct statfs file_system {};
  if (::fstatfs(file.fd.get(), &file_system) != 0) return FailErrno("cannot look at " + found.path);
  const auto type = static_cast<uint32_t>(file_system.f_type);
  if (!S_ISREG(status.st_mode) || IsPseudo(type)) return std::nullopt;
  file.times = TimesOf(status);
  const int64_t age_ns = RealTimeNs() - file.times.ctime_ns;
  file.times_tell = TimesTellWrites(type);
  file.settled = file.times_tell && static_cast<double>(age_ns) > settled_after_seconds * 1e9;
  return file;
}

}  // namespace holdfast
