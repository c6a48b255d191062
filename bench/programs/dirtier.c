// Memory of which a share is written to on demand: dirtier MEBIBYTES FIFO private|shared. Each line "N S"
// written to FIFO: one write to every page of N runs of 16 pages, spread evenly over the memory (S shifts
// them), then a '.' on stdout.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kPage = 4096, kRun = 16 };

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  size_t bytes = strtoul(argv[1], NULL, 10) << 20;
  int kind = argv[3][0] == 's' ? MAP_SHARED : MAP_PRIVATE;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED || madvise(memory, bytes, MADV_NOHUGEPAGE) != 0) return 1;
  uint64_t state = 88172645463325252ull;
  for (size_t at = 0; at < bytes; at += 8) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    *(uint64_t*)(memory + at) = at % kPage < kPage / 2 ? state : 7;  // half of each page compresses
  }
  setvbuf(stdout, NULL, _IONBF, 0);
  putchar('.');
  for (;;) {
    FILE* commands = fopen(argv[2], "r");
    size_t runs = 0, shift = 0;
    while (commands != NULL && fscanf(commands, "%zu %zu", &runs, &shift) == 2) {
      size_t step = bytes / (runs > 0 ? runs : 1) / kPage * kPage;
      for (size_t run = 0; run < runs; ++run) {
        for (size_t page = 0; page < kRun; ++page) {
          ++*(uint64_t*)(memory + (run * step + (shift + page) * kPage) % bytes);
        }
      }
      putchar('.');
    }
    if (commands != NULL) fclose(commands);
  }
}
