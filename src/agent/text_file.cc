#include "agent/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "agent/marked_text.h"
#include "base/fd.h"
#include "base/limits.h"
#include "linux/atomic_file.h"

namespace holdfast {

namespace {

// Into a file of another name, with the mode and the owner that the file has, and then in its place.
Result<void> Replace(const std::filesystem::path& path, std::string_view content, mode_t mode, uid_t owner,
                     gid_t group) {
  std::string temporary = path.string() + ".XXXXXX";
  const Fd file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return FailErrno("cannot create a file beside " + path.string());
  Result<void> done = WriteAll(file.get(), content, temporary);
  if (done && (::fchown(file.get(), owner, group) != 0 || ::fchmod(file.get(), mode) != 0 ||
               ::fsync(file.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)) {
    done = FailErrno("cannot replace " + path.string());
  }
  if (!done) ::unlink(temporary.c_str());
  return done;
}

}  // namespace

Result<std::optional<std::string>> ReadTextFile(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<std::string>();
    return FailErrno("cannot read " + path.string());
  }
  if (!S_ISREG(status.st_mode)) return Fail(ErrorKind::kUnsupported, path.string() + " is no regular file");
  if (static_cast<uint64_t>(status.st_size) > limits::kSettingsBytesMax) {
    return Fail(ErrorKind::kUnsupported, path.string() + " is too large for a configuration");
  }
  std::ifstream file(path, std::ios::binary);
  std::string content(static_cast<size_t>(status.st_size), '\0');
  if (!file.read(content.data(), static_cast<std::streamsize>(content.size()))) {
    return FailErrno("cannot read " + path.string());
  }
  return std::optional<std::string>(std::move(content));
}

Result<void> WriteTextFile(const std::filesystem::path& path, std::string_view content) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(path, error);
    if (error) return FailErrno(error.value(), "cannot replace " + path.string());
    return Replace(real, content, status.st_mode & 07777, status.st_uid, status.st_gid);
  }
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return FailErrno(error.value(), "cannot make " + path.parent_path().string());
  return Replace(path, content, 0644, ::geteuid(), ::getegid());
}

Result<void> WriteBackup(const std::filesystem::path& original, const std::filesystem::path& backup,
                         std::string_view content) {
  struct stat status {};
  if (::stat(original.c_str(), &status) != 0) return FailErrno("cannot look at " + original.string());
  return Replace(backup, content, status.st_mode & 07777, status.st_uid, status.st_gid);
}

Result<void> Apply(const std::vector<FileChange>& changes) {
  for (const FileChange& change : changes) {
    if (change.after) {
      TRY(WriteTextFile(change.path, *change.after));
      continue;
    }
    if (::unlink(change.path.c_str()) != 0 && errno != ENOENT)
      return FailErrno("cannot remove " + change.path.string());
    // A directory that others use by now is not empty, and stays.
    if (TakeMarked(change.before.value_or("")).made.directory) ::rmdir(change.path.parent_path().c_str());
  }
  return {};
}

}  // namespace holdfast
