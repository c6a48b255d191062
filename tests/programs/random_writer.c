// Memory that does not get smaller by compression, of which little is written to: in each round some pages
// get a new generation; all of it is verified, word by word, in eight. random_writer DIR [MEGABYTES] [PAGES A
// ROUND]
#include "subject.h"

enum { kWords = kPageBytes / 8 };

static uint64_t WordOf(size_t page, uint32_t generation, size_t word) {
  return SubjectMix(((uint64_t)generation << 40) + page * kWords + word + 17);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  size_t pages = (strtoul(SubjectArgument(argc, argv, 2, "32"), NULL, 10) << 20) / kPageBytes;
  size_t writes = strtoul(SubjectArgument(argc, argv, 3, "100"), NULL, 10);
  uint64_t* memory = SubjectMap(pages * kPageBytes, MAP_PRIVATE);
  uint32_t* generation = SubjectMap(pages * sizeof *generation, MAP_PRIVATE);
  for (size_t i = 0; i < pages * kWords; ++i) memory[i] = WordOf(i / kWords, 0, i % kWords);
  SubjectReady();
  uint64_t random = 1;
  for (size_t part = 0;; part = (part + 1) % 8) {
    SubjectSleepMs(10);
    for (size_t i = 0; i < writes; ++i) {
      random = SubjectMix(random + i);
      size_t page = random % pages;
      ++generation[page];
      for (size_t word = 0; word < kWords; ++word)
        memory[page * kWords + word] = WordOf(page, generation[page], word);
    }
    for (size_t page = pages / 8 * part; page < pages / 8 * (part + 1); ++page) {
      for (size_t word = 0; word < kWords; ++word) {
        if (memory[page * kWords + word] != WordOf(page, generation[page], word))
          SubjectFail("page %zu is wrong", page);
      }
    }
    SubjectRound();
  }
}
