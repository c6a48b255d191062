// Appends numbered lines to a log (O_APPEND); whatever happened to it meanwhile, line N is number N.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  char path[4096], line[64];
  int fd = open(SubjectPath(path, sizeof path, "log"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  SUBJECT_CHECK(fd >= 0);
  SubjectReady();
  for (unsigned long number = 0;; ++number) {
    int length = snprintf(line, sizeof line, "line %010lu\n", number);
    SUBJECT_CHECK(write(fd, line, (size_t)length) == length);
    struct stat status;
    SUBJECT_CHECK(fstat(fd, &status) == 0);
    if (status.st_size != (off_t)(number + 1) * length)
      SubjectFail("%lld bytes after line %lu", (long long)status.st_size, number);
    SubjectSleepMs(2);
    SubjectRound();
  }
}
