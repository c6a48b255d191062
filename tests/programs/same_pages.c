// 32 MiB in which a snapshot finds much that is in the store already: the same content written again and
// again (rewritten), nothing but zeros (zeros), what four workers got from their parent at a fork (workers).
#include <stdbool.h>
#include <sys/prctl.h>

#include "subject.h"

enum { kBytes = 32 << 20, kWorkers = 4, kSeed = 21 };

static char* memory;

static void Fill(void) {
  uint64_t random = kSeed;
  for (uint64_t* word = (uint64_t*)memory; (char*)word < memory + kBytes; ++word) {
    random = SubjectMix(random + 1);
    *word = random;
  }
}

static bool IsRight(void) {
  uint64_t random = kSeed;
  for (const uint64_t* word = (const uint64_t*)memory; (const char*)word < memory + kBytes; ++word) {
    random = SubjectMix(random + 1);
    if (*word != random) return false;
  }
  return true;
}

static bool IsZero(void) {
  return memory[0] == 0 && memcmp(memory, memory + 1, kBytes - 1) == 0;
}

// A worker only reads: what it has is its parent's for good.
static void Work(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    if (getppid() != parent) _exit(0);
    SUBJECT_CHECK(IsRight());
    SubjectSleepMs(100);
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const char* mode = SubjectArgument(argc, argv, 2, "rewritten");
  const bool zeros = strcmp(mode, "zeros") == 0;
  memory = SubjectMap(kBytes, MAP_PRIVATE);
  if (zeros) {
    memset(memory, 0, kBytes);
  } else {
    Fill();
  }
  const pid_t self = getpid();
  for (int i = 0; strcmp(mode, "workers") == 0 && i < kWorkers; ++i) {
    if (fork() == 0) Work(self);
  }
  SubjectReady();
  for (;;) {
    SubjectSleepMs(50);
    SUBJECT_CHECK(zeros ? IsZero() : IsRight());
    if (strcmp(mode, "rewritten") == 0) Fill();
    SUBJECT_CHECK(waitpid(-1, NULL, WNOHANG) <= 0);
    SubjectRound();
  }
}
