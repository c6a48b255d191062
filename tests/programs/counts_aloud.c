// Counts on standard output and standard error, verifies its memory and a file that it has open before each
// number, and ends with 7 when it is told to: counts_aloud DIR [MEGABYTES]
#include "subject.h"

static void End(int signal) {
  (void)signal;
  _exit(7);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  signal(SIGTERM, End);
  size_t words = (strtoul(SubjectArgument(argc, argv, 2, "8"), NULL, 10) << 20) / 8;
  uint64_t* memory = SubjectMap(words * 8, MAP_PRIVATE);
  for (size_t i = 0; i < words; ++i) memory[i] = SubjectMix(i);
  char path[4096];
  int file = open(SubjectPath(path, sizeof path, "counted"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  SUBJECT_CHECK(file >= 0);
  SubjectReady();
  for (unsigned long number = 1;; ++number) {
    for (size_t i = number % 16; i < words; i += 16) {
      if (memory[i] != SubjectMix(i)) SubjectFail("word %zu is wrong", i);
    }
    struct stat status;
    SUBJECT_CHECK(fstat(file, &status) == 0 && status.st_size == (off_t)(number - 1) * 8);
    SUBJECT_CHECK(write(file, &number, 8) == 8);
    SUBJECT_CHECK(dprintf(1, "out %lu\n", number) > 0 && dprintf(2, "err %lu\n", number) > 0);
    SubjectSleepMs(20);
    SubjectRound();
  }
}
