// A MAP_GROWSDOWN mapping keeps its content and still grows when touched below.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t reserve = 64 << 20;
  char* area = mmap(NULL, reserve, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  SUBJECT_CHECK(area != MAP_FAILED && munmap(area, reserve) == 0);
  char* top = area + reserve;
  char* lowest = mmap(top - 2 * kPageBytes, 2 * kPageBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  SUBJECT_CHECK(lowest == top - 2 * kPageBytes);
  *(uint64_t*)lowest = SubjectMix(1);
  *(uint64_t*)(lowest + kPageBytes) = SubjectMix(0);
  unsigned long pages = 2;
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    if (pages < 2000) {
      lowest -= kPageBytes;
      *(volatile uint64_t*)lowest = SubjectMix(pages++);
    }
    for (unsigned long i = 0; i < pages; ++i) {
      SUBJECT_CHECK(*(uint64_t*)(top - (i + 1) * kPageBytes) == SubjectMix(i));
    }
    SubjectRound();
  }
}
