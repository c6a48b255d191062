// Few pages with content in 64 GiB of address space, far apart.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 64ull << 30;
  char* memory = SubjectMap(bytes, MAP_PRIVATE | MAP_NORESERVE);
  for (size_t at = 0; at < bytes; at += 1 << 28) *(uint64_t*)(memory + at) = SubjectMix(at);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    for (size_t at = 0; at < bytes; at += 1 << 28) {
      SUBJECT_CHECK(*(uint64_t*)(memory + at) == SubjectMix(at));
      SUBJECT_CHECK(*(uint64_t*)(memory + at + kPageBytes) == 0 || at == bytes);
    }
    SubjectRound();
  }
}
