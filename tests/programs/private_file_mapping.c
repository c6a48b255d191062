// A private mapping of a file: some pages changed in memory alone, some discarded again (they show the file),
// others never touched.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t pages = 1024;
  char path[4096];
  int fd = open(SubjectPath(path, sizeof path, "mapped"), O_RDWR | O_CREAT | O_TRUNC, 0644);
  for (size_t i = 0; i < pages; ++i) {
    uint64_t page[kPageBytes / 8] = {SubjectMix(i)};
    SUBJECT_CHECK(write(fd, page, sizeof page) == sizeof page);
  }
  uint64_t* memory = mmap(NULL, pages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  SUBJECT_CHECK(memory != MAP_FAILED && close(fd) == 0);
  for (size_t i = 0; i < pages; i += 2) memory[i * 512] = SubjectMix(i + 5000);
  SubjectReady();
  for (uint64_t turn = 0;; ++turn) {
    SubjectSleepMs(10);
    for (size_t i = turn % 4; i < pages; i += 4) {  // back to the file and away from it again
      SUBJECT_CHECK(madvise(memory + i * 512, kPageBytes, MADV_DONTNEED) == 0);
      SUBJECT_CHECK(memory[i * 512] == SubjectMix(i));
      if (i % 2 == 0) memory[i * 512] = SubjectMix(i + 5000);
    }
    for (size_t i = 0; i < pages; ++i) {
      SUBJECT_CHECK(memory[i * 512] == SubjectMix(i % 2 ? i : i + 5000));
      SUBJECT_CHECK(memory[i * 512 + 1] == 0);
    }
    SubjectRound();
  }
}
