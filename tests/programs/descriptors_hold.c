// The set of open descriptors, where each leads and its flags never change; nor do the threads or the sizes
// of memory. descriptors_hold DIR ["directory"]: with one opened as O_PATH | O_DIRECTORY.
#include <dirent.h>

#include "subject.h"

static size_t Describe(char* text, size_t bytes) {
  size_t used = 0;
  DIR* directory = opendir("/proc/self/fd");
  SUBJECT_CHECK(directory != NULL);
  for (struct dirent* entry; (entry = readdir(directory));) {
    int fd = atoi(entry->d_name);
    if (*entry->d_name == '.' || fd == dirfd(directory)) continue;
    char path[300], target[512];
    snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
    ssize_t length = readlink(path, target, sizeof target - 1);
    target[length < 0 ? 0 : length] = 0;
    char* number = strstr(target, ":[");  // a pipe's or socket's inode may change at a restart
    if (number) *number = 0;
    used += (size_t)snprintf(text + used, bytes - used, "%d %s %x %x\n", fd, target,
                             (unsigned)fcntl(fd, F_GETFD), (unsigned)fcntl(fd, F_GETFL));
  }
  closedir(directory);
  return used;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int pipe_fds[2];
  SUBJECT_CHECK(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC) == 0);
  SUBJECT_CHECK(dup3(pipe_fds[0], 200, 0) == 200 && dup2(pipe_fds[1], 77) == 77);
  SUBJECT_CHECK(open("/dev/null", O_RDWR) >= 0 && open("/etc/passwd", O_RDONLY | O_NOATIME) >= 0 &&
                open("/proc/self/exe", O_RDONLY) >= 0 && open("/", O_PATH) >= 0);
  const int more = strcmp(SubjectArgument(argc, argv, 2, ""), "directory") == 0 ? O_DIRECTORY : 0;
  SUBJECT_CHECK(open("/usr", O_PATH | more) >= 0);
  char* memory = SubjectMap(32 << 20, MAP_PRIVATE);
  SubjectFill(memory, 32 << 20, 1);
  static char first[8192], now[8192];
  Describe(first, sizeof first);
  long threads = SubjectProcKilobytes("/proc/self/status", "Threads:");
  long data = SubjectProcKilobytes("/proc/self/status", "VmData:");
  SubjectReady();
  for (;;) {
    SubjectSleepMs(2);
    Describe(now, sizeof now);
    if (strcmp(first, now) != 0) {
      SubjectWrite("descriptors", now);
      SubjectFail("the descriptors have changed");
    }
    SUBJECT_CHECK(SubjectProcKilobytes("/proc/self/status", "Threads:") == threads);
    SUBJECT_CHECK(SubjectProcKilobytes("/proc/self/status", "VmData:") == data);
    SubjectRound();
  }
}
