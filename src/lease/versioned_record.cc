#include "lease/versioned_record.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <vector>

#include "base/fd.h"
#include "linux/atomic_file.h"

namespace holdfast {
namespace {

// "00000000000000000017" is a version; "new-17-5d4e..." one that is being written.
constexpr std::string_view kUnfinished = "new-";

std::string NameOf(uint64_t number) {
  return fmt::format("{:020}", number);
}

std::optional<uint64_t> NumberIn(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// The version that a file is, or is going to be.
std::optional<uint64_t> VersionOf(std::string_view name) {
  if (!name.starts_with(kUnfinished)) return NumberIn(name);
  name.remove_prefix(kUnfinished.size());
  return NumberIn(name.substr(0, name.find('-')));
}

Result<std::vector<std::string>> Names(const std::filesystem::path& directory) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()), closedir);
  std::vector<std::string> names;
  if (!open && errno == ENOENT) return names;
  if (!open) return FailErrno("cannot look into " + directory.string());
  errno = 0;
  while (const dirent* entry = readdir(open.get())) names.emplace_back(entry->d_name);
  if (errno != 0) return FailErrno("cannot look into " + directory.string());
  return names;
}

Result<uint64_t> Newest(const std::filesystem::path& directory) {
  uint64_t newest = 0;
  for (const std::string& name : TRY(Names(directory))) newest = std::max(newest, NumberIn(name).value_or(0));
  return newest;
}

Result<void> SyncDirectory(const std::filesystem::path& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) return FailErrno("cannot sync " + directory.string());
  return {};
}

Error CameTooLate(const std::filesystem::path& directory) {
  return Fail(ErrorKind::kBusy, "somebody else wrote to " + directory.string() + " first");
}

// A file that is gone again when this is, unless it was linked.
class Unfinished {
 public:
  explicit Unfinished(std::filesystem::path path) : path_(std::move(path)) {}
  ~Unfinished() { ::unlink(path_.c_str()); }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

Result<VersionedRecord::Version> VersionedRecord::Read() const {
  constexpr int kTriesMax = 1000;  // of a version that is gone when it is opened, as there is a newer one
  for (int attempt = 0; attempt < kTriesMax; ++attempt) {
    Version version{TRY(Newest(directory_)), {}};
    if (version.number == 0) return version;
    const std::filesystem::path path = directory_ / NameOf(version.number);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid() && (errno == ENOENT || errno == ESTALE)) continue;  // ESTALE: NFS
    if (!file.valid()) return FailErrno("cannot open " + path.string());
    version.content.resize(kBytesMax);
    size_t done = 0;
    while (done < kBytesMax) {
      const ssize_t got = ::read(file.get(), version.content.data() + done, kBytesMax - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno("cannot read " + path.string());
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    version.content.resize(done);
    return version;
  }
  return Fail(ErrorKind::kIo, directory_.string() + " changes faster than it can be read");
}

Result<uint64_t> VersionedRecord::Write(uint64_t over, std::string_view content) const {
  if (content.size() > kBytesMax) return Fail(ErrorKind::kInternal, "a record of more than 64 KiB");
  if (mkdir(directory_.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    return FailErrno("cannot make " + directory_.string());
  const uint64_t number = over + 1;
  uint64_t unique = 0;
  if (getrandom(&unique, sizeof unique, 0) != sizeof unique) return FailErrno("getrandom");
  const Unfinished unfinished(directory_ / fmt::format("{}{}-{:016x}", kUnfinished, number, unique));
  const Fd file(
      ::open(unfinished.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file.valid()) return FailErrno("cannot make " + unfinished.path().string());
  TRY(WriteAll(file.get(), content, unfinished.path()));
  if (fsync(file.get()) != 0) return FailErrno("cannot sync " + unfinished.path().string());

  const std::filesystem::path path = directory_ / NameOf(number);
  if (::link(unfinished.path().c_str(), path.c_str()) != 0) {
    const int error = errno;
    // NFS may do it and lose its answer; the number of names tells (open(2), on O_EXCL over NFS).
    struct stat status {};
    const bool done = fstat(file.get(), &status) == 0 && status.st_nlink == 2;
    // ENOENT: removed as older than a version that is there.
    if (!done && (error == EEXIST || error == ENOENT)) return CameTooLate(directory_);
    if (!done) return FailErrno(error, "cannot make " + path.string());
  }
  if (TRY(Newest(directory_)) != number) {
    ::unlink(path.c_str());
    return CameTooLate(directory_);
  }
  TRY(SyncDirectory(directory_));
  TRY(RemoveOlder(number));
  return number;
}

Result<void> VersionedRecord::RemoveOlder(uint64_t than) const {
  for (const std::string& name : TRY(Names(directory_))) {
    const std::optional<uint64_t> number = VersionOf(name);
    if (number && *number < than) ::unlink((directory_ / name).c_str());
  }
  return {};
}

}  // namespace holdfast
