// SPDX-License-Identifier: MIT
#include "criu_plugin/private_sockets.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "criu_plugin/protocol.h"

namespace holdfast {
namespace {

struct Path {
  char text[PATH_MAX];
};

bool Join(const char* first, const char* second, const char* third, Path& path) {
  const int length = snprintf(path.text, sizeof path.text, "%s%s%s", first, second, third);
  return length > 0 && static_cast<size_t>(length) < sizeof path.text;
}

// `path` as the job sees it, from the root. CRIU takes a relative one to be in the directory that the socket
// really is in, which for one that was bound here is below `directory` (criu/sk-unix.c, resolve_rel_name).
bool PathInJob(const char* directory, const char* path, Path& found) {
  if (path[0] == '/') return Join("", path, "", found);
  Path here{};
  if (getcwd(here.text, sizeof here.text) == nullptr) return false;
  const size_t length = strlen(directory);
  const bool below = strncmp(here.text, directory, length) == 0 && here.text[length] == '/';
  return Join(here.text + (below ? length : 0), "/", path, found);
}

void MakeDirectoriesAbove(const Path& path) {
  Path part = path;
  for (char* slash = strchr(part.text + 1, '/'); slash != nullptr; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(part.text, S_IRWXU);
    *slash = '/';
  }
}

bool IsSameFile(const char* a, const char* b) {
  struct stat of_a {};
  struct stat of_b {};
  return lstat(a, &of_a) == 0 && lstat(b, &of_b) == 0 && of_a.st_dev == of_b.st_dev &&
         of_a.st_ino == of_b.st_ino;
}

// Binds to the name that the program gave, where it leads to `own`, which is below `directory`.
int BindBelow(const char* directory, const Path& own, int fd, const sockaddr_un* address, socklen_t length,
              BindFunction bind) {
  const int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const bool whole = address->sun_path[0] == '/';
  Path start = own;  // of a relative name
  const size_t given = strnlen(address->sun_path, sizeof address->sun_path);
  if (given < strlen(start.text)) start.text[strlen(start.text) - given] = 0;
  int result = -1;
  if (root >= 0 && here >= 0 && (whole ? chroot(directory) : chdir(start.text)) == 0) {
    result = bind(fd, reinterpret_cast<const sockaddr*>(address), length);
  }
  const int error = errno;
  // The root first: it can only be left from a directory that is in it.
  if (root < 0 || here < 0 || fchdir(root) != 0 || chroot(".") != 0 || fchdir(here) != 0) result = -1;
  close(root);
  close(here);
  errno = error;
  return result;
}

}  // namespace

const char* PrivateFilesDirectory() {
  return getenv(kPrivateFilesVariable);
}

int BindPrivately(const char* directory, int fd, const sockaddr* address, socklen_t length,
                  BindFunction bind) {
  sockaddr_un name{};
  const bool has_path = address->sa_family == AF_UNIX && length > offsetof(sockaddr_un, sun_path) &&
                        reinterpret_cast<const sockaddr_un*>(address)->sun_path[0] != 0;
  if (!has_path || length > sizeof name) return bind(fd, address, length);
  memcpy(&name, address, length);
  char given[sizeof name.sun_path + 1] = {};  // with an end, which the name may lack
  memcpy(given, name.sun_path, sizeof name.sun_path);
  Path path{};
  Path own{};
  if (!PathInJob(directory, given, path) || !Join(directory, path.text, "", own)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  MakeDirectoriesAbove(own);
  unlink(own.text);  // of an earlier restart
  if (BindBelow(directory, own, fd, &name, length, bind) != 0) return -1;
  if (IsSameFile(path.text, own.text)) return 0;  // in a directory that is the clone's own: seen already
  // A socket that nobody listens to, if there is nothing to be mounted over.
  if (mknod(path.text, S_IFSOCK | S_IRUSR | S_IWUSR, 0) != 0 && errno != EEXIST) return -1;
  return mount(own.text, path.text, nullptr, MS_BIND, nullptr);
}

int UnlinkPrivately(const char* directory, const char* path, UnlinkFunction unlink) {
  Path whole{};
  Path own{};
  if (PathInJob(directory, path, whole) && Join(directory, whole.text, "", own) &&
      IsSameFile(whole.text, own.text)) {
    // EINVAL: no mount point, as the directory is the clone's own (umount(2)).
    if (umount2(whole.text, MNT_DETACH) != 0 && errno != EINVAL) return -1;
    unlink(own.text);
    return unlink(whole.text) != 0 && errno != ENOENT ? -1 : 0;
  }
  struct stat status {};
  if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) return 0;
  return unlink(path);
}

}  // namespace holdfast
