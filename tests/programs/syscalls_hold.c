// Makes system calls in a tight loop, failing and succeeding ones: each has its own result and error, and the
// registers that the kernel keeps over a call are kept.
#include <pthread.h>

#include "subject.h"

static uint64_t calls[2];

static long Call(long number, long a, long b, long c, const uint64_t keep[4], int* kept) {
  long result;
  uint64_t seen[4];
  __asm__ volatile(
      "mov 0(%[k]), %%r12\n\tmov 8(%[k]), %%r13\n\tmov 16(%[k]), %%r8\n\tmov 24(%[k]), %%r9\n\t"
      "syscall\n\t"
      "mov %%r12, 0(%[s])\n\tmov %%r13, 8(%[s])\n\tmov %%r8, 16(%[s])\n\tmov %%r9, 24(%[s])\n\t"
      : "=a"(result)
      : "0"(number), "D"(a), "S"(b), "d"(c), [k] "r"(keep), [s] "r"(seen)
      : "rcx", "r11", "r12", "r13", "r8", "r9", "memory");
  *kept = memcmp(seen, keep, sizeof seen) == 0;
  return result;
}

static void Expect(long number, long a, long b, long c, long expected) {
  uint64_t keep[4];
  static __thread uint64_t turn;
  for (uint64_t i = 0; i < 4; ++i) keep[i] = SubjectMix(++turn);
  int kept = 0;
  long result = Call(number, a, b, c, keep, &kept);
  if (result != expected) SubjectFail("system call %ld gave %ld, not %ld", number, result, expected);
  if (!kept) SubjectFail("system call %ld changed a register", number);
}

static void* Loop(void* argument) {
  long self = (long)argument;
  long thread = syscall(SYS_gettid);
  long process = getpid();
  char byte;
  for (;;) {
    Expect(SYS_close, -1, 0, 0, -EBADF);
    Expect(SYS_getpid, 0, 0, 0, process);
    Expect(SYS_read, -1, (long)&byte, 1, -EBADF);
    Expect(SYS_gettid, 0, 0, 0, thread);
    Expect(SYS_kill, process, 1000, 0, -EINVAL);
    Expect(SYS_wait4, -1, 0, WNOHANG, -ECHILD);
    Expect(SYS_munmap, 1, 1, 0, -EINVAL);
    Expect(SYS_sched_yield, 0, 0, 0, 0);
    errno = 123;
    for (volatile int i = 0; i < 100; ++i) {
    }
    if (errno != 123) SubjectFail("errno became %d", errno);
    __atomic_add_fetch(&calls[self], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  for (long i = 0; i < 2; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, Loop, (void*)i) == 0);
  }
  SubjectReady();
  for (uint64_t before[2] = {0, 0};;) {
    SubjectSleepMs(5);
    uint64_t now[2] = {__atomic_load_n(&calls[0], __ATOMIC_RELAXED),
                       __atomic_load_n(&calls[1], __ATOMIC_RELAXED)};
    if (now[0] <= before[0] || now[1] <= before[1]) continue;
    memcpy(before, now, sizeof before);
    SubjectRound();
  }
}
