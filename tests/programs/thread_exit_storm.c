// Forks children all the time that run threads and end while these run. The first thread of a child
// is often gone long before the others, the last of which gives back the memory.
#include <pthread.h>

#include "subject.h"

enum { kThreads = 4 };

static void* Spin(void* unused) {
  (void)unused;
  for (volatile unsigned turns = 0;; ++turns) {
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 48 << 20;
  for (uint64_t seed = 1;; ++seed) {
    const pid_t child = fork();
    SUBJECT_CHECK(child >= 0);
    if (child == 0) {
      char* memory = SubjectMap(bytes, MAP_PRIVATE);
      SubjectFill(memory, bytes, seed);
      for (int i = 0; i < kThreads; ++i) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, Spin, NULL) != 0) _exit(2);
      }
      _exit(SubjectWrongPages(memory, bytes, seed) ? 1 : 42);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 42) {
      SubjectFail("a child ended with status %#x", status);
    }
    SUBJECT_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
