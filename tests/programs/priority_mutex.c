// Threads that sleep while they hold a priority-inheriting mutex, others waiting for it in the kernel.
#include <pthread.h>

#include "subject.h"

enum { kThreads = 4 };
static pthread_mutex_t mutex;
static uint64_t guarded, turns[kThreads];

static void* Contend(void* argument) {
  uint64_t* mine = &turns[(long)argument];
  for (;;) {
    SUBJECT_CHECK(pthread_mutex_lock(&mutex) == 0);
    uint64_t seen = guarded;
    SubjectSleepMs(2);
    SUBJECT_CHECK(guarded == seen);
    guarded = seen + 1;
    ++*mine;
    SUBJECT_CHECK(pthread_mutex_unlock(&mutex) == 0);
    sched_yield();
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  SUBJECT_CHECK(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
  if (pthread_mutex_init(&mutex, &attributes) != 0) SubjectSkip("no priority-inheriting mutexes");
  for (long i = 0; i < kThreads; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, Contend, (void*)i) == 0);
  }
  SubjectReady();
  for (uint64_t before = 0;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(pthread_mutex_lock(&mutex) == 0);
    uint64_t sum = 0;
    for (int i = 0; i < kThreads; ++i) sum += turns[i];
    SUBJECT_CHECK(sum == guarded);
    SUBJECT_CHECK(pthread_mutex_unlock(&mutex) == 0);
    if (sum < before + kThreads) continue;
    before = sum;
    SubjectRound();
  }
}
