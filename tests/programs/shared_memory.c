// Two processes share an object, each writes its half and verifies the other's.
// shared_memory DIR anonymous|memfd|sealed|named|unlinked|file [MEGABYTES]
#include <sys/prctl.h>

#include "subject.h"

static const char* kind;
static int object = -1;
static char object_name[128];

static int OpenObject(size_t bytes) {
  int fd = -1;
  if (!strcmp(kind, "anonymous")) return -1;
  if (!strcmp(kind, "memfd") || !strcmp(kind, "sealed")) {
    fd = memfd_create("subject", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  } else if (!strcmp(kind, "file")) {
    char path[4096];
    fd = open(SubjectPath(path, sizeof path, "object"), O_RDWR | O_CREAT | O_TRUNC, 0600);
  } else {
    snprintf(object_name, sizeof object_name, "/holdfast-subject-%d", (int)getpid());
    fd = shm_open(object_name, O_RDWR | O_CREAT | O_EXCL, 0640);
    char text[160];
    snprintf(text, sizeof text, "/dev/shm%s", object_name);
    SubjectWrite("object-name", text);
    if (!strcmp(kind, "unlinked")) SUBJECT_CHECK(shm_unlink(object_name) == 0);
  }
  if (fd < 0 && errno == ENOSYS) SubjectSkip("the kernel has no memfd");
  SUBJECT_CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
  return fd;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  kind = SubjectArgument(argc, argv, 2, "anonymous");
  size_t bytes = strtoul(SubjectArgument(argc, argv, 3, "8"), NULL, 10) << 20, half = bytes / 2;
  object = OpenObject(bytes);
  char* memory =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (object < 0 ? MAP_ANONYMOUS : 0), object, 0);
  SUBJECT_CHECK(memory != MAP_FAILED);
  SubjectFill(memory, bytes, 14);
  if (!strcmp(kind, "sealed")) {
    SUBJECT_CHECK(fcntl(object, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0);
  }
  struct Turn {
    volatile uint64_t parent, child;
  }* turn = SubjectMap(sizeof *turn, MAP_SHARED);
  pid_t child = fork();
  SUBJECT_CHECK(child >= 0);
  if (child == 0) {  // follows the parent: fills the second half for every turn
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      while (turn->child == turn->parent) SubjectSleepMs(1);
      uint64_t now = turn->parent;
      if (SubjectWrongPages(memory, half, now)) SubjectFail("the child sees a wrong first half");
      SubjectFill(memory + half, half, ~now);
      __atomic_store_n(&turn->child, now, __ATOMIC_SEQ_CST);
    }
  }
  for (uint64_t now = 1;; ++now) {
    SubjectFill(memory, half, now);
    __atomic_store_n(&turn->parent, now, __ATOMIC_SEQ_CST);
    while (turn->child != now) SubjectSleepMs(1);
    if (now == 1) SubjectReady();
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, half, now) == 0);
    if (SubjectWrongPages(memory + half, half, ~now)) SubjectFail("the parent sees a wrong second half");
    if (!strcmp(kind, "sealed")) {
      SUBJECT_CHECK(fcntl(object, F_GET_SEALS) == (F_SEAL_SHRINK | F_SEAL_GROW));
      SUBJECT_CHECK(ftruncate(object, 10) == -1 && errno == EPERM);
    }
    if (object >= 0) {
      struct stat status;
      SUBJECT_CHECK(fstat(object, &status) == 0 && status.st_size == (off_t)bytes);
      if (!strcmp(kind, "named")) SUBJECT_CHECK((status.st_mode & 0777) == 0640 && status.st_nlink == 1);
    }
    if (subject_rounds_max && subject_round + 1 == subject_rounds_max && *object_name)
      shm_unlink(object_name);
    SubjectRound();
  }
}
