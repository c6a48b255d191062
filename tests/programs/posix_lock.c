// A POSIX record lock stays held: nobody else's close of a descriptor, and no exit of something that shares
// the descriptors, may release it. A child looks at it from outside.
#include <sys/prctl.h>

#include "subject.h"

static void Watch(int fd, pid_t holder, volatile uint64_t* seen) {
  for (;;) {
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 100};
    if (fcntl(fd, F_GETLK, &lock) != 0) SubjectFail("F_GETLK");
    if (lock.l_type != F_WRLCK || lock.l_pid != holder || lock.l_start != 10 || lock.l_len != 100) {
      SubjectFail("the lock is %d of process %d, not of %d", lock.l_type, lock.l_pid, holder);
    }
    ++*seen;
    SubjectSleepMs(2);
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  char path[4096];
  int fd = open(SubjectPath(path, sizeof path, "locked"), O_RDWR | O_CREAT, 0600);
  SUBJECT_CHECK(fd >= 0);
  char* memory = SubjectMap(24 << 20, MAP_PRIVATE);  // a twin rather than a copy
  SubjectFill(memory, 24 << 20, 1);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 100};
  SUBJECT_CHECK(fcntl(fd, F_SETLK, &lock) == 0);
  volatile uint64_t* seen = SubjectMap(kPageBytes, MAP_SHARED);
  pid_t holder = getpid();
  if (fork() == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    Watch(fd, holder, seen);
  }
  SubjectReady();
  for (;;) {
    uint64_t before = *seen;
    while (*seen < before + 3) SubjectSleepMs(2);
    SubjectRound();
  }
}
