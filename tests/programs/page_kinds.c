// Memory in pages of an unusual kind, some of which are rewritten in each round: huge ones of a pool
// (hugetlb, hugetlb-shared), ones that are out in swap (swapped), ones that the kernel has merged with equal
// ones (merged). DIR/kind says how many kB of it are of that kind now.
#include "subject.h"

enum { kPages = 2048, kContents = 4, kRewritten = 16 };

static char* memory;
static uint64_t seeds[kPages];  // of each page's content

static char* Page(size_t page) {
  return memory + page * kPageBytes;
}

static void Rewrite(size_t page, uint64_t seed) {
  seeds[page] = seed;
  SubjectFill(Page(page), kPageBytes, seed);
}

// A private mapping of more than the pool holds is refused at once.
static void Map(const char* kind) {
  int flags = MAP_PRIVATE;
  if (strcmp(kind, "hugetlb") == 0) flags |= MAP_HUGETLB;
  if (strcmp(kind, "hugetlb-shared") == 0) flags = MAP_SHARED | MAP_HUGETLB;
  memory = mmap(NULL, kPages * kPageBytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) SubjectSkip("the pool of huge pages is too small");
  if (strcmp(kind, "merged") == 0 && madvise(memory, kPages * kPageBytes, MADV_MERGEABLE) != 0) {
    SubjectSkip("the kernel merges no pages");
  }
}

static long KilobytesOfKind(const char* kind) {
  if (strcmp(kind, "swapped") == 0) return SubjectProcKilobytes("/proc/self/smaps", "Swap:");
  if (strcmp(kind, "merged") == 0) return SubjectProcKilobytes("/proc/self/smaps", "KSM:");
  if (strcmp(kind, "hugetlb") == 0) return SubjectProcKilobytes("/proc/self/smaps", "Private_Hugetlb:");
  return SubjectProcKilobytes("/proc/self/smaps", "Private_Hugetlb:") +
         SubjectProcKilobytes("/proc/self/smaps", "Shared_Hugetlb:");
}

static void SayKind(const char* kind) {
  char text[32];
  snprintf(text, sizeof text, "%ld", KilobytesOfKind(kind));
  SubjectWrite("kind", text);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const char* kind = SubjectArgument(argc, argv, 2, "swapped");
  Map(kind);
  for (size_t page = 0; page < kPages; ++page) Rewrite(page, page % kContents);
  for (;;) {
    for (size_t page = 0; page < kPages; ++page) {
      SUBJECT_CHECK(SubjectWrongPages(Page(page), kPageBytes, seeds[page]) == 0);
    }
    for (size_t i = 0; i < kRewritten; ++i) {
      const uint64_t random = SubjectMix(subject_round * kRewritten + i);
      Rewrite(random % kPages, random >> 16 & 1 ? random : random % kContents);
    }
    if (strcmp(kind, "swapped") == 0) madvise(memory, kPages * kPageBytes, MADV_PAGEOUT);
    SubjectSleepMs(20);
    SayKind(kind);
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
