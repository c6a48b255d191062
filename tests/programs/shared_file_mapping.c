// A shared mapping of a file, its descriptor closed: memory and file are one, and belong to the snapshot.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 2 << 20;
  char path[4096];
  int fd = open(SubjectPath(path, sizeof path, "mapped"), O_RDWR | O_CREAT | O_TRUNC, 0644);
  SUBJECT_CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  SUBJECT_CHECK(memory != MAP_FAILED && close(fd) == 0);
  uint64_t seed = 1;
  SubjectFill(memory, bytes, seed);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    if (SubjectWrongPages(memory, bytes, seed))
      SubjectFail("the mapping is not of generation %llu", (unsigned long long)seed);
    SubjectFill(memory, bytes, ++seed);
    SubjectRound();
  }
}
