// Holds an io_uring, which CRIU cannot restore: to be refused before anything happens.
#include <linux/io_uring.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct io_uring_params parameters = {0};
  int fd = (int)syscall(SYS_io_uring_setup, 8, &parameters);
  if (fd < 0) SubjectSkip("io_uring is not allowed here");
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(fcntl(fd, F_GETFD) >= 0);
    SubjectRound();
  }
}
