// 6,000 mappings of one page each, with alternating protection so that they cannot merge.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t pages = 6000;
  char* memory = SubjectMap(pages * kPageBytes, MAP_PRIVATE);
  SubjectFill(memory, pages * kPageBytes, 9);
  for (size_t i = 0; i < pages; i += 2)
    SUBJECT_CHECK(mprotect(memory + i * kPageBytes, kPageBytes, PROT_READ) == 0);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, pages * kPageBytes, 9) == 0);
    SubjectRound();
  }
}
