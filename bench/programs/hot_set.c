// A large job that writes to a small part of its memory without end: hot_set MEBIBYTES HOT_MEBIBYTES
// RUN_PAGES. The hot part lies in runs of so many pages, spread evenly. Prints a '.' when all memory has been
// filled.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { kPage = 4096 };

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  size_t bytes = strtoul(argv[1], NULL, 10) << 20;
  size_t run_bytes = strtoul(argv[3], NULL, 10) * kPage;
  size_t runs = (strtoul(argv[2], NULL, 10) << 20) / run_bytes;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || runs == 0 || madvise(memory, bytes, MADV_NOHUGEPAGE) != 0) return 1;
  uint64_t state = 88172645463325252ull;
  for (size_t at = 0; at < bytes; at += 8) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    *(uint64_t*)(memory + at) = at % kPage < kPage / 2 ? state : 7;  // half of each page compresses
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  putchar('.');
  size_t step = bytes / runs / kPage * kPage;
  for (;;) {
    for (size_t run = 0; run < runs; ++run) {
      for (size_t at = 0; at < run_bytes; at += kPage) ++*(uint64_t*)(memory + run * step + at);
    }
  }
}
