// Recurses until less than a page of the stack's limit is left, waits there, and verifies every frame on the
// way back.
#include <sys/resource.h>

#include "subject.h"

static char* lowest;

__attribute__((noinline)) static unsigned Descend(unsigned depth) {
  volatile uint64_t frame[64];
  for (unsigned i = 0; i < 64; ++i) frame[i] = SubjectMix(depth * 64ull + i);
  unsigned frames = 1;
  if ((char*)frame - lowest > 2048) {
    frames += Descend(depth + 1);
  } else {
    struct timespec wait = {0, 30000000};  // a bare system call: no deeper frames than needed
    syscall(SYS_nanosleep, &wait, NULL);
  }
  for (unsigned i = 0; i < 64; ++i) {
    if (frame[i] != SubjectMix(depth * 64ull + i)) SubjectFail("frame %u is wrong", depth);
  }
  return frames;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct rlimit limit;
  SUBJECT_CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
  if (limit.rlim_cur > 4 << 20) {  // a limit counts from the exec on
    limit.rlim_cur = 4 << 20;
    SUBJECT_CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
    execv("/proc/self/exe", argv);
  }
  // The limit counts from the top of the stack mapping, above argv and the environment.
  FILE* maps = fopen("/proc/self/maps", "re");
  char line[512];
  unsigned long start = 0, end = 0;
  while (maps && fgets(line, sizeof line, maps)) {
    if (strstr(line, "[stack]")) sscanf(line, "%lx-%lx", &start, &end);
  }
  if (maps) fclose(maps);
  lowest = (char*)end - limit.rlim_cur;
  unsigned frames = Descend(0);
  SubjectReady();
  for (;;) {
    SUBJECT_CHECK(Descend(0) == frames);
    SubjectRound();
  }
}
