// Spins in user mode with a known value in every general and vector register and checks them, over and over.
#include <pthread.h>

#include "subject.h"

static uint64_t rounds[2];

// Returns the number of the first register that changed, or 0 after `turns`.
__attribute__((noinline)) static unsigned long Spin(unsigned long turns, const uint64_t values[32]) {
  unsigned long wrong = 0;
  __asm__ volatile(
      "push %%rbp\n\t"
      "movdqu 0(%[v]), %%xmm0\n\tmovdqu 16(%[v]), %%xmm1\n\tmovdqu 32(%[v]), %%xmm7\n\tmovdqu 48(%[v]), "
      "%%xmm15\n\t"
      "mov 64(%[v]), %%rbx\n\tmov 72(%[v]), %%r8\n\tmov 80(%[v]), %%r9\n\tmov 88(%[v]), %%r10\n\t"
      "mov 96(%[v]), %%r11\n\tmov 104(%[v]), %%r12\n\tmov 112(%[v]), %%r13\n\tmov 120(%[v]), %%r14\n\t"
      "mov 128(%[v]), %%r15\n\tmov 136(%[v]), %%rbp\n\tmov 144(%[v]), %%rdx\n\tmov 152(%[v]), %%rsi\n\t"
      "1:\n\t"
      "movq %%xmm0, %%rax\n\tcmp 0(%[v]), %%rax\n\tjne 2f\n\t"
      "movq %%xmm1, %%rax\n\tcmp 16(%[v]), %%rax\n\tjne 2f\n\t"
      "movq %%xmm7, %%rax\n\tcmp 32(%[v]), %%rax\n\tjne 2f\n\t"
      "movq %%xmm15, %%rax\n\tcmp 48(%[v]), %%rax\n\tjne 2f\n\t"
      "psrldq $8, %%xmm15\n\tmovq %%xmm15, %%rax\n\tcmp 56(%[v]), %%rax\n\tjne 2f\n\tmovdqu 48(%[v]), "
      "%%xmm15\n\t"
      "cmp 64(%[v]), %%rbx\n\tjne 3f\n\tcmp 72(%[v]), %%r8\n\tjne 3f\n\tcmp 80(%[v]), %%r9\n\tjne 3f\n\t"
      "cmp 88(%[v]), %%r10\n\tjne 3f\n\tcmp 96(%[v]), %%r11\n\tjne 3f\n\tcmp 104(%[v]), %%r12\n\tjne 3f\n\t"
      "cmp 112(%[v]), %%r13\n\tjne 3f\n\tcmp 120(%[v]), %%r14\n\tjne 3f\n\tcmp 128(%[v]), %%r15\n\tjne 3f\n\t"
      "cmp 136(%[v]), %%rbp\n\tjne 3f\n\tcmp 144(%[v]), %%rdx\n\tjne 3f\n\tcmp 152(%[v]), %%rsi\n\tjne 3f\n\t"
      "dec %%rcx\n\tjnz 1b\n\t"
      "xor %%eax, %%eax\n\tjmp 4f\n\t"
      "2:\n\tmov $1, %%eax\n\tjmp 4f\n\t"
      "3:\n\tmov $2, %%eax\n\t"
      "4:\n\tpop %%rbp\n\t"
      : "=&a"(wrong), "+c"(turns)
      : [v] "D"(values)
      : "rbx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm7",
        "xmm15", "memory", "cc");
  return wrong;
}

static void* SpinForever(void* argument) {
  long self = (long)argument;
  uint64_t values[32];
  for (uint64_t turn = 0;; ++turn) {
    for (uint64_t i = 0; i < 32; ++i) values[i] = SubjectMix(turn * 32 + i + 1);
    unsigned long wrong = Spin(2000000, values);
    if (wrong) SubjectFail("a %s register changed", wrong == 1 ? "vector" : "general");
    __atomic_add_fetch(&rounds[self], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  for (long i = 0; i < 2; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, SpinForever, (void*)i) == 0);
  }
  SubjectReady();
  for (uint64_t before[2] = {0, 0};;) {
    SubjectSleepMs(5);
    uint64_t now[2] = {__atomic_load_n(&rounds[0], __ATOMIC_RELAXED),
                       __atomic_load_n(&rounds[1], __ATOMIC_RELAXED)};
    if (now[0] <= before[0] || now[1] <= before[1]) continue;
    memcpy(before, now, sizeof before);
    SubjectRound();
  }
}
