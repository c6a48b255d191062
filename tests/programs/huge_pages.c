// Memory in transparent huge pages; DIR/huge says how many kB of it are in huge pages now.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t huge = 2 << 20, bytes = 32 << 20;
  char* area = SubjectMap(bytes + huge, MAP_PRIVATE);
  char* memory = area + (-(uintptr_t)area % huge);
  if (madvise(memory, bytes, MADV_HUGEPAGE) != 0) SubjectSkip("the kernel has no transparent huge pages");
  SubjectFill(memory, bytes, 8);
  if (SubjectProcKilobytes("/proc/self/smaps", "AnonHugePages:") < (long)(bytes >> 10)) {
    SubjectSkip("the kernel gave no huge pages");
  }
  for (;;) {
    char text[32];
    snprintf(text, sizeof text, "%ld", SubjectProcKilobytes("/proc/self/smaps", "AnonHugePages:"));
    SubjectWrite("huge", text);
    if (subject_round == 0) SubjectReady();
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 8) == 0);
    SubjectRound();
  }
}
