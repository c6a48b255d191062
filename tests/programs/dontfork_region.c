// A region that no child inherits (MADV_DONTFORK) is whole and stays one that no child inherits.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 4 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SUBJECT_CHECK(madvise(memory, bytes, MADV_DONTFORK) == 0);
  SubjectFill(memory, bytes, 3);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 3) == 0);
    pid_t child = fork();
    if (child == 0) {
      unsigned char resident;
      _exit(mincore(memory, kPageBytes, &resident) == -1 && errno == ENOMEM ? 0 : 1);
    }
    int status = 0;
    SUBJECT_CHECK(waitpid(child, &status, 0) == child && status == 0);
    SubjectRound();
  }
}
