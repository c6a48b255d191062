#include "criu/kerndat_cache.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace holdfast {
namespace {

bool IsTmpfs(const char* path) {
  struct statfs file_system {};
  return statfs(path, &file_system) == 0 && file_system.f_type == TMPFS_MAGIC;
}

}  // namespace

std::string KerndatDirectory() {
  constexpr const char* kDirectory = "/dev/shm/holdfast";
  if (IsTmpfs("/run") || !IsTmpfs("/dev/shm")) return {};
  if (mkdir(kDirectory, 0700) != 0 && errno != EEXIST) return {};
  // Anybody may make a directory there, and CRIU believes what it reads.
  struct stat status {};
  const bool ours = lstat(kDirectory, &status) == 0 && S_ISDIR(status.st_mode) &&
                    status.st_uid == geteuid() && (status.st_mode & 077) == 0;
  return ours ? kDirectory : std::string();
}

}  // namespace holdfast
