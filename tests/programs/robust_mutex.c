// A process holds a robust mutex and dies: the other gets EOWNERDEAD, after a restart too.
#include <pthread.h>

#include "subject.h"

struct Shared {
  pthread_mutex_t mutex;
  volatile int held;
};

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct Shared* shared = SubjectMap(sizeof *shared, MAP_SHARED);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  SUBJECT_CHECK(pthread_mutex_init(&shared->mutex, &attributes) == 0);
  for (;;) {
    shared->held = 0;
    pid_t child = fork();
    SUBJECT_CHECK(child >= 0);
    if (child == 0) {
      if (pthread_mutex_lock(&shared->mutex) != 0) _exit(1);
      shared->held = 1;
      for (;;) pause();
    }
    while (!shared->held) SubjectSleepMs(1);
    if (subject_round == 0) SubjectReady();
    SubjectSleepMs(60);  // nearly always here
    SUBJECT_CHECK(pthread_mutex_trylock(&shared->mutex) == EBUSY);
    SUBJECT_CHECK(kill(child, SIGKILL) == 0);
    SUBJECT_CHECK(waitpid(child, NULL, 0) == child);
    SUBJECT_CHECK(pthread_mutex_lock(&shared->mutex) == EOWNERDEAD);
    SUBJECT_CHECK(pthread_mutex_consistent(&shared->mutex) == 0 && pthread_mutex_unlock(&shared->mutex) == 0);
    SubjectRound();
  }
}
