// Much memory of which little is written to: in each round some pages get a new generation, and all of it is
// verified, bit by bit. slow_writer DIR [MEGABYTES] [PAGES A ROUND] [private|shared]
// Shared memory has an end that was written to and is not mapped any more.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  size_t pages = (strtoul(SubjectArgument(argc, argv, 2, "64"), NULL, 10) << 20) / kPageBytes;
  size_t writes = strtoul(SubjectArgument(argc, argv, 3, "20"), NULL, 10);
  int shared = !strcmp(SubjectArgument(argc, argv, 4, "private"), "shared");
  const size_t end_bytes = shared ? 64 * kPageBytes : 0;
  char* memory = SubjectMap(pages * kPageBytes + end_bytes, shared ? MAP_SHARED : MAP_PRIVATE);
  if (end_bytes > 0) {
    memset(memory + pages * kPageBytes, 1, end_bytes);
    SUBJECT_CHECK(munmap(memory + pages * kPageBytes, end_bytes) == 0);
  }
  uint32_t* generation = SubjectMap(pages * sizeof *generation, MAP_PRIVATE);
  for (size_t page = 0; page < pages; ++page) SubjectFill(memory + page * kPageBytes, kPageBytes, page << 32);
  SubjectReady();
  uint64_t random = 1;
  for (size_t part = 0;; part = (part + 1) % 8) {
    SubjectSleepMs(10);
    for (size_t i = 0; i < writes; ++i) {
      random = SubjectMix(random);
      size_t page = random % pages;
      ++generation[page];
      SubjectFill(memory + page * kPageBytes, kPageBytes, (uint64_t)page << 32 | generation[page]);
    }
    for (size_t page = pages / 8 * part; page < pages / 8 * (part + 1); ++page) {
      uint64_t seed = (uint64_t)page << 32 | generation[page];
      if (SubjectWrongPages(memory + page * kPageBytes, kPageBytes, seed) != 0)
        SubjectFail("page %zu is wrong", page);
    }
    SubjectRound();
  }
}
