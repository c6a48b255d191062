#include "files/sidecars.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace holdfast {

int OpenWithoutLinks(int root, const std::string& path, int flags, unsigned mode) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.mode = mode;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT;
  const std::string relative = path.substr(std::min(path.find_first_not_of('/'), path.size()));
  return static_cast<int>(
      ::syscall(SYS_openat2, root, relative.empty() ? "." : relative.c_str(), &how, sizeof(how)));
}

Result<std::optional<TrackedFile>> TrackByName(pid_t pid, const std::string& path) {
  const std::string root_path = fmt::format("/proc/{}/root", pid);
  const Fd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return FailErrno("cannot open " + root_path);
  Fd place(OpenWithoutLinks(root.get(), path, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!place.valid() || ::fstat(place.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  FoundFile found;
  found.key = {status.st_dev, status.st_ino};
  found.path = path;
  found.pid = pid;
  found.link = fmt::format("/proc/self/fd/{}", place.get());
  std::optional<TrackedFile> file = TRY(TrackFile(found, std::numeric_limits<double>::infinity()));
  if (file && !file->fd.valid()) file->place = std::move(place);
  return file;
}

}  // namespace holdfast
