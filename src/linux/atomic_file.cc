#include "linux/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace holdfast {

Result<void> WriteAll(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FailErrno("cannot write " + path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

Result<void> WriteFileAtomically(const std::filesystem::path& path, std::string_view content) {
  std::string temporary = path.string() + ".XXXXXX";
  const Fd file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file.valid()) return FailErrno("cannot create a file beside " + path.string());
  auto give_up = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  if (const Result<void> written = WriteAll(file.get(), content, temporary); !written) {
    return give_up(written.error());
  }
  if (::fsync(file.get()) != 0) return give_up(FailErrno("cannot flush " + temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return give_up(FailErrno("cannot replace " + path.string()));
  const Fd directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid() || ::fsync(directory.get()) != 0) {
    return FailErrno("cannot flush " + path.parent_path().string());
  }
  return {};
}

}  // namespace holdfast
