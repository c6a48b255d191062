// Memory that does not get smaller by compression, held by a container: held_memory MEGABYTES
// WRITTEN_MEGABYTES_PER_S Writes the number of milliseconds that it has seen pass into /work/beat, and
// "wrong" should its memory be.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x7FB5D329728EA185ull;
  x = (x ^ (x >> 27)) * 0x81DADEF4BC2DD44Dull;
  return x ^ (x >> 33);
}

static void Say(const char* text) {
  int fd = open("/work/beat", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || pwrite(fd, text, strlen(text) + 1, 0) < 0) _exit(1);
  close(fd);
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  size_t pages = strtoul(argv[1], NULL, 10) << 8, per_ms = (strtoul(argv[2], NULL, 10) << 8) / 1000, next = 0;
  uint64_t* memory = mmap(NULL, pages << 12, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  for (size_t word = 0; word < pages << 9; ++word) memory[word] = Mix(word);
  for (unsigned long beat = 1;; ++beat) {
    char text[32];
    struct timespec pause = {0, 1000000};
    for (size_t i = 0; i < per_ms; ++i, next = (next + 1) % pages) memory[(next << 9) + 1] = Mix(beat);
    for (size_t i = 0; i < 64; ++i) {
      size_t word = (Mix(beat * 64 + i) % pages) << 9;
      if (memory[word] != Mix(word)) {
        Say("wrong");
        return 1;
      }
    }
    snprintf(text, sizeof text, "%lu", beat);
    Say(text);
    nanosleep(&pause, NULL);
  }
}
