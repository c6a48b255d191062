// Memory with content that may not be read (PROT_NONE) nearly all the time.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 4 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, 6);
  SUBJECT_CHECK(mprotect(memory, bytes, PROT_NONE) == 0);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(40);
    SUBJECT_CHECK(mprotect(memory, bytes, PROT_READ) == 0);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 6) == 0);
    SUBJECT_CHECK(mprotect(memory, bytes, PROT_NONE) == 0);
    SubjectRound();
  }
}
