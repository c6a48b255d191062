// Prints numbered lines to standard output and standard error: prints_numbers DIR [LINES [STATUS]]; then
// exits.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  unsigned long lines = strtoul(SubjectArgument(argc, argv, 2, "1000000000"), NULL, 10);
  int status = atoi(SubjectArgument(argc, argv, 3, "0"));
  for (unsigned long number = 1; number <= lines; ++number) {
    SUBJECT_CHECK(dprintf(1, "out %lu\n", number) > 0 && dprintf(2, "err %lu\n", number) > 0);
    if (number == 1) SubjectReady();
    SubjectSleepMs(5);
    SubjectRound();
  }
  return status;
}
