// Counters per CPU, incremented in restartable sequences: not one count may be lost, and the thread stays
// registered.
#include <pthread.h>
#include <stddef.h>

#include "subject.h"

struct Rseq {  // the kernel's struct rseq, as the C library registers it for every thread
  uint32_t cpu_id_start, cpu_id;
  uint64_t critical_section;
  uint32_t flags;
};
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

enum { kThreads = 3, kCpusMax = 1024 };
static struct {
  uint64_t count;
  char apart[56];
} per_cpu[kCpusMax] __attribute__((aligned(64)));
static uint64_t done[kThreads][8];

static volatile struct Rseq* Self(void) {
  return (volatile struct Rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
}

// Adds 1 to this CPU's counter with a plain load and store; 0 when it was interrupted and nothing was added.
static int IncrementOnce(void) {
  volatile struct Rseq* rseq = Self();
  uint64_t scratch, ok;
  __asm__ volatile(
      ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n\t"
      "9:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"
      "lea 9b(%%rip), %[scratch]\n\t"
      "mov %[scratch], 8(%[rseq])\n\t"
      "1:\n\t"
      "mov 4(%[rseq]), %k[scratch]\n\t"  // cpu_id
      "shl $6, %[scratch]\n\t"
      "add %[counters], %[scratch]\n\t"
      "mov (%[scratch]), %[ok]\n\t"
      "inc %[ok]\n\t"
      "nop\n\tnop\n\tnop\n\tnop\n\tpause\n\t"  // wide enough to be hit
      "mov %[ok], (%[scratch])\n\t"
      "2:\n\t"
      "mov $1, %[ok]\n\tjmp 5f\n\t"
      ".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n\t"  // RSEQ_SIG, as the C library registered it
      "4:\n\txor %k[ok], %k[ok]\n\t"
      "5:\n\t"
      : [ok] "=&r"(ok), [scratch] "=&r"(scratch)
      : [rseq] "r"(rseq), [counters] "r"(per_cpu)
      : "memory", "cc");
  return (int)ok;
}

static void* Count(void* argument) {
  uint64_t* mine = done[(long)argument];
  for (;;) {
    if ((int32_t)Self()->cpu_id < 0)
      SubjectFail("the thread is not registered: cpu_id %d", (int32_t)Self()->cpu_id);
    if (IncrementOnce()) __atomic_add_fetch(mine, 1, __ATOMIC_RELEASE);
    if (*mine % 100000) continue;
    while (__atomic_load_n(&mine[1], __ATOMIC_ACQUIRE)) {  // asked to stand still
      __atomic_store_n(&mine[2], 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&mine[2], 0, __ATOMIC_RELEASE);
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  if (!&__rseq_size || __rseq_size == 0) SubjectSkip("the C library registers no rseq");
  for (long i = 0; i < kThreads; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, Count, (void*)i) == 0);
  }
  SubjectReady();
  for (;;) {
    SubjectSleepMs(100);
    for (int i = 0; i < kThreads; ++i) __atomic_store_n(&done[i][1], 1, __ATOMIC_RELEASE);
    for (int i = 0; i < kThreads; ++i) {
      while (!__atomic_load_n(&done[i][2], __ATOMIC_ACQUIRE)) SubjectSleepMs(1);
    }
    uint64_t by_thread = 0, by_cpu = 0;
    for (int i = 0; i < kThreads; ++i) by_thread += done[i][0];
    for (int i = 0; i < kCpusMax; ++i) by_cpu += per_cpu[i].count;
    if (by_thread != by_cpu) SubjectFail("%lu counted by threads, %lu by CPUs", by_thread, by_cpu);
    for (int i = 0; i < kThreads; ++i) __atomic_store_n(&done[i][1], 0, __ATOMIC_RELEASE);
    SubjectRound();
  }
}
