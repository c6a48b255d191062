// Holds the file or device argv[2] open.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int fd = open(SubjectArgument(argc, argv, 2, "/dev/null"), O_RDWR);
  if (fd < 0) fd = open(SubjectArgument(argc, argv, 2, "/dev/null"), O_RDONLY);
  if (fd < 0) SubjectSkip("it cannot be opened");
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(fcntl(fd, F_GETFD) >= 0);
    SubjectRound();
  }
}
