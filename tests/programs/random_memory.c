// Memory that does not get smaller by compression, verified word by word. random_memory DIR [MEGABYTES]
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  size_t words = (strtoul(SubjectArgument(argc, argv, 2, "64"), NULL, 10) << 20) / 8;
  uint64_t* memory = SubjectMap(words * 8, MAP_PRIVATE);
  for (size_t i = 0; i < words; ++i) memory[i] = SubjectMix(i + 17);
  SubjectReady();
  for (size_t part = 0;; part = (part + 1) % 8) {
    SubjectSleepMs(10);
    for (size_t i = words / 8 * part; i < words / 8 * (part + 1); ++i) {
      if (memory[i] != SubjectMix(i + 17)) SubjectFail("word %zu is wrong", i);
    }
    SubjectRound();
  }
}
