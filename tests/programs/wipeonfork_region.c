// A region that a child finds empty (MADV_WIPEONFORK) is whole in the job itself. "forks": also checks that
// it is still wiped in a child.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int forks = !strcmp(SubjectArgument(argc, argv, 2, ""), "forks");
  const size_t bytes = 4 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SUBJECT_CHECK(madvise(memory, bytes, MADV_WIPEONFORK) == 0);
  SubjectFill(memory, bytes, 4);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 4) == 0);
    if (forks) {
      pid_t child = fork();
      if (child == 0) _exit(*(uint64_t*)memory == 0 ? 0 : 1);
      int status = 0;
      SUBJECT_CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
    SubjectRound();
  }
}
