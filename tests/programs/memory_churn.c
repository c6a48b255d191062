// Several threads own blocks with known content, verify them and then destroy, move or discard them in one
// way, all the time: whatever is captured while this goes on has to be the state of one instant. memory_churn
// DIR munmap|fixed|dontneed|free|mremap|mprotect|all [MEGABYTES] [THREADS]
#include <pthread.h>

#include "subject.h"

enum { kBlocks = 48, kThreadsMax = 16 };
struct Block {
  char* memory;
  size_t bytes;
  uint64_t seed;
};
static struct Block blocks[kThreadsMax][kBlocks];
static size_t block_bytes;
static const char* mode;
static unsigned long operations[kThreadsMax];

static void CheckBlock(const struct Block* block) {
  size_t wrong = SubjectWrongPages(block->memory, block->bytes, block->seed);
  if (wrong) SubjectFail("%s: %zu of %zu pages wrong", mode, wrong, block->bytes / kPageBytes);
}

static void Refill(struct Block* block, uint64_t seed) {
  block->seed = seed;
  SubjectFill(block->memory, block->bytes, seed);
}

// After MADV_FREE every page is either what it was or zero.
static void FreeLazily(struct Block* block) {
  SUBJECT_CHECK(madvise(block->memory, block->bytes, MADV_FREE) == 0);
  for (size_t at = 0; at < block->bytes; at += kPageBytes) {
    uint64_t* first = (uint64_t*)(block->memory + at);
    uint64_t expected = SubjectMix(block->seed + at / 8);
    uint64_t seen = *first;
    if (seen != 0 && seen != expected) SubjectFail("free: page %zu is neither old nor zero", at / kPageBytes);
  }
}

static void Misbehave(struct Block* block, uint64_t random) {
  static const char* const kAll[] = {"munmap", "fixed", "dontneed", "free", "mremap", "mprotect"};
  const char* how = strcmp(mode, "all") ? mode : kAll[random % 6];
  if (!strcmp(how, "munmap")) {
    SUBJECT_CHECK(munmap(block->memory, block->bytes) == 0);
    block->memory = NULL;
  } else if (!strcmp(how, "fixed")) {
    SUBJECT_CHECK(mmap(block->memory, block->bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == block->memory);
    SUBJECT_CHECK(*(uint64_t*)block->memory == 0);
    Refill(block, random | 1);
  } else if (!strcmp(how, "dontneed")) {
    SUBJECT_CHECK(madvise(block->memory, block->bytes, MADV_DONTNEED) == 0);
    SUBJECT_CHECK(*(uint64_t*)block->memory == 0);
    Refill(block, random | 1);
  } else if (!strcmp(how, "free")) {
    FreeLazily(block);
    Refill(block, random | 1);
  } else if (!strcmp(how, "mremap")) {  // moves, and the old place gets something else
    char* target = mmap(NULL, block->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SUBJECT_CHECK(target != MAP_FAILED);
    char* moved = mremap(block->memory, block->bytes, block->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target);
    SUBJECT_CHECK(moved == target);
    block->memory = moved;
    CheckBlock(block);
    Refill(block, random | 1);
  } else if (!strcmp(how, "mprotect")) {
    SUBJECT_CHECK(mprotect(block->memory, block->bytes, PROT_NONE) == 0);
    SUBJECT_CHECK(mprotect(block->memory, block->bytes, PROT_READ) == 0);
    CheckBlock(block);
    SUBJECT_CHECK(mprotect(block->memory, block->bytes, PROT_READ | PROT_WRITE) == 0);
  } else {
    SubjectFail("unknown mode %s", how);
  }
}

static void* Churn(void* argument) {
  long self = (long)argument;
  uint64_t random = SubjectMix((uint64_t)self + 1);
  for (;;) {
    random = SubjectMix(random + 0x9E3779B97F4A7C15ull);
    struct Block* block = &blocks[self][random % kBlocks];
    if (block->memory) {
      CheckBlock(block);
      Misbehave(block, SubjectMix(random));
    }
    if (!block->memory) {
      block->bytes = (1 + random % (block_bytes / kPageBytes)) * kPageBytes;
      block->memory = SubjectMap(block->bytes, MAP_PRIVATE);
      Refill(block, random | 1);
    }
    __atomic_add_fetch(&operations[self], 1, __ATOMIC_RELAXED);
  }
  return NULL;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  mode = SubjectArgument(argc, argv, 2, "all");
  size_t bytes = strtoul(SubjectArgument(argc, argv, 3, "64"), NULL, 10) << 20;
  long threads = strtol(SubjectArgument(argc, argv, 4, "3"), NULL, 10);
  if (threads > kThreadsMax) threads = kThreadsMax;
  block_bytes = bytes / (size_t)threads / kBlocks * 2;  // blocks are half as large on average
  for (long i = 0; i < threads; ++i) {
    pthread_t thread;
    SUBJECT_CHECK(pthread_create(&thread, NULL, Churn, (void*)i) == 0);
  }
  for (unsigned long before = 0;;) {
    SubjectSleepMs(20);
    unsigned long now = 0;
    for (long i = 0; i < threads; ++i) now += __atomic_load_n(&operations[i], __ATOMIC_RELAXED);
    if (now < before + (unsigned long)threads * kBlocks) continue;
    before = now;
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
