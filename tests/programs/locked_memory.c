// Locked memory is whole and still locked.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 2 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  if (mlock(memory, bytes) != 0) SubjectSkip("mlock is not allowed");
  SubjectFill(memory, bytes, 10);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectProcKilobytes("/proc/self/status", "VmLck:") == (long)(bytes >> 10));
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 10) == 0);
    SubjectRound();
  }
}
