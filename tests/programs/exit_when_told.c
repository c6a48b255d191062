// Holds verified memory until DIR/exit appears; exits with 7 at once then.
// exit_when_told DIR [MEGABYTES]
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  size_t bytes = strtoul(SubjectArgument(argc, argv, 2, "96"), NULL, 10) << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, 5);
  char path[4096];
  SubjectPath(path, sizeof path, "exit");
  SubjectReady();
  for (unsigned long i = 0;; ++i) {
    if (access(path, F_OK) == 0) _exit(7);
    SubjectSleepMs(1);
    if (i % 32) continue;
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 5) == 0);
    SubjectRound();
  }
}
