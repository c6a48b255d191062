// 64 named threads, each with its own thread-local value, stack content and beat. many_threads DIR [THREADS]
// [pinned] "pinned": each is bound to one CPU and stays bound to it.
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include "subject.h"

enum { kThreadsMax = 128 };
static uint64_t beats[kThreadsMax];
static __thread uint64_t own;
static int pinned;

static void* Live(void* argument) {
  long self = (long)argument;
  char name[16], now[16];
  snprintf(name, sizeof name, "worker-%ld", self);
  prctl(PR_SET_NAME, name);
  own = SubjectMix((uint64_t)self);
  uint64_t stack[128];
  SubjectFill(stack, sizeof stack, own);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (pinned) {
    cpu_set_t all;
    SUBJECT_CHECK(sched_getaffinity(0, sizeof all, &all) == 0);
    int cpu = 0, left = (int)(self % CPU_COUNT(&all));
    while (!CPU_ISSET(cpu, &all) || left-- > 0) ++cpu;
    CPU_SET(cpu, &allowed);
    SUBJECT_CHECK(sched_setaffinity(0, sizeof allowed, &allowed) == 0);
  }
  for (;;) {
    SubjectSleepMs(5);
    SUBJECT_CHECK(own == SubjectMix((uint64_t)self) && SubjectWrongPages(stack, sizeof stack, own) == 0);
    SUBJECT_CHECK(prctl(PR_GET_NAME, now) == 0 && strcmp(now, name) == 0);
    if (pinned) {
      cpu_set_t set;
      SUBJECT_CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_EQUAL(&set, &allowed));
    }
    __atomic_add_fetch(&beats[self], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  long threads = strtol(SubjectArgument(argc, argv, 2, "64"), NULL, 10);
  pinned = !strcmp(SubjectArgument(argc, argv, 3, ""), "pinned");
  if (threads > kThreadsMax) threads = kThreadsMax;
  for (long i = 0; i < threads; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, Live, (void*)i) == 0);
  }
  uint64_t before[kThreadsMax] = {0};
  for (int ready = 0;;) {
    for (long i = 0; i < threads; ++i) {
      while (__atomic_load_n(&beats[i], __ATOMIC_RELAXED) == before[i]) SubjectSleepMs(2);
      before[i] = __atomic_load_n(&beats[i], __ATOMIC_RELAXED);
    }
    if (!ready) SubjectReady();
    ready = 1;
    SubjectRound();
  }
}
