// Threads block in waitpid(-1) and waitid(P_ALL, __WALL) while children come and go: only our own are ever
// seen, each with its own status, and each exactly once.
#include <pthread.h>

#include "subject.h"

enum { kSlots = 64 };
static pid_t children[kSlots];
static int started, reaped;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int StatusOf(int slot) {
  return 10 + slot;
}

static void Account(pid_t pid, int status) {
  pthread_mutex_lock(&lock);
  int slot = 0;
  while (slot < kSlots && children[slot] != pid) ++slot;
  if (slot == kSlots) SubjectFail("a stranger was waited for: %d, status %#x", pid, (unsigned)status);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != StatusOf(slot)) {
    SubjectFail("child %d ended with %#x", pid, (unsigned)status);
  }
  children[slot] = 0;
  ++reaped;
  pthread_mutex_unlock(&lock);
}

static void* WaitForAny(void* argument) {
  for (;;) {
    int status = 0;
    pid_t pid = waitpid(-1, &status, argument ? __WALL : 0);
    if (pid > 0) {
      Account(pid, status);
    } else if (errno != ECHILD) {
      SubjectFail("waitpid");
    } else {
      SubjectSleepMs(1);
    }
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  pthread_t thread;
  pthread_create(&thread, NULL, WaitForAny, NULL);
  pthread_create(&thread, NULL, WaitForAny, children);
  for (;;) {
    for (int i = 0; i < 8; ++i) {
      pthread_mutex_lock(&lock);
      int slot = 0;
      while (slot < kSlots && children[slot]) ++slot;
      if (slot < kSlots) {
        pid_t pid = fork();
        SUBJECT_CHECK(pid >= 0);
        if (pid == 0) {
          struct timespec wait = {0, 10000000};
          syscall(SYS_nanosleep, &wait, NULL);
          _exit(StatusOf(slot));
        }
        children[slot] = pid;
        ++started;
      }
      pthread_mutex_unlock(&lock);
      SubjectSleepMs(3);
    }
    pthread_mutex_lock(&lock);
    SUBJECT_CHECK(started - reaped >= 0 && started - reaped <= kSlots);
    pthread_mutex_unlock(&lock);
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
