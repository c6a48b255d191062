// The heap grows and shrinks by brk all the time; what is left of it is verified, what comes back is zero.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes_max = 48 << 20;
  char* base = sbrk(0);
  base += -(uintptr_t)base % kPageBytes;
  size_t bytes = 0;
  uint64_t random = 1;
  for (;;) {
    random = SubjectMix(random + 1);
    size_t wanted = random % (bytes_max / kPageBytes) * kPageBytes;
    SUBJECT_CHECK(brk(base + wanted) == 0);
    for (size_t at = bytes; at < wanted; at += kPageBytes) {
      SUBJECT_CHECK(*(uint64_t*)(base + at) == 0);
      *(uint64_t*)(base + at) = SubjectMix(at);
    }
    bytes = wanted;
    for (size_t at = 0; at < bytes; at += kPageBytes)
      SUBJECT_CHECK(*(uint64_t*)(base + at) == SubjectMix(at));
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
