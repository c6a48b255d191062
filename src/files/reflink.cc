#include "files/reflink.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "files/sidecars.h"

namespace holdfast {

Fd MakeReflinkPlace(int file, pid_t pid, const std::string& path) {
  const std::string root_path = fmt::format("/proc/{}/root", pid);
  const Fd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return {};
  Fd place(OpenWithoutLinks(root.get(), path.substr(0, path.rfind('/')), O_TMPFILE | O_RDWR | O_CLOEXEC,
                            S_IRUSR | S_IWUSR));
  if (!place.valid() || !Reflink(file, place)) return {};
  return place;
}

void WriteDirtyPages(int file) {
  // Allocates what is yet to be allocated, and takes no lock that a writer needs.
  (void)::sync_file_range(file, 0, 0,
                          SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
}

bool Reflink(int file, const Fd& place) {
  return ::ioctl(place.get(), FICLONE, file) == 0;
}

}  // namespace holdfast
