// What bench/checkpoint checkpoints: memory of a chosen size and kind that lies idle or is rewritten as fast
// as it goes. It has no open files and no shared memory: it is told what to do, and asked what it has done,
// through a block of its own memory that the bench reads and writes by way of /proc/PID/mem.
//
//     workload run DIR MIB 4k|huge THREADS PROCESSES half|random
//     workload sample FILE MIB half|random       writes the same content into a file
//
// Each process names itself and its block in DIR/PID ("ADDRESS BYTES PARENT") once its memory is filled.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kPageBytes = 4096, kHugeBytes = 2 << 20, kThreadsMax = 64, kForksMax = 32, kReadsMax = 16384 };

// The layout is read by bench/workload.py. The main thread obeys `command` and sets it back to 0.
enum { kNone, kTouch, kFork, kChecksum, kWrite, kRest, kRead };
static volatile struct {
  uint64_t command, argument;
  uint64_t checksum;
  uint64_t beat_worst_ns;  // the longest time between two wakings of the main thread, which wakes each ms
  uint64_t fork_ns[kForksMax];
  struct {
    uint64_t pages_written;
    uint64_t worst_ns;  // the longest time that one page took
  } writer[kThreadsMax];
  uint64_t read_ns[kReadsMax];  // how long each of the last reads took
} control;

static char* memory;
static size_t memory_bytes;
static int threads, random_only;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static volatile int writing;
static int resting;  // writers that stand still

static void Die(const char* what) {
  perror(what);
  exit(1);
}

static uint64_t Now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Different for every page of every process, so that no two blocks are the same and stored once.
static uint64_t Seed(uint64_t generation, size_t page) {
  static uint64_t self;
  if (!self) self = (uint64_t)getpid();
  return self << 44 ^ generation << 32 ^ page;
}

// Random bytes; with "half" the second half of each page is one word over and over.
static void FillPage(char* page, uint64_t seed) {
  uint64_t* words = (uint64_t*)page;
  int count = random_only ? kPageBytes / 8 : kPageBytes / 16;
  uint64_t x = seed * 0x9E3779B97F4A7C15u + 1;
  for (int i = 0; i < count; ++i) {
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    words[i] = x * 0x2545F4914F6CDD1Du;
  }
  for (int i = count; i < kPageBytes / 8; ++i) words[i] = seed;
}

static void Touch(void) {
  for (size_t at = 0; at < memory_bytes; at += kPageBytes) {
    volatile char* page = memory + at;
    *page = *page;
  }
}

static uint64_t Checksum(void) {
  const uint64_t* words = (const uint64_t*)memory;
  uint64_t sum = 0;
  for (size_t i = 0; i < memory_bytes / 8; ++i) sum = (sum ^ words[i]) * 0x100000001B3u;
  return sum;
}

// fork() of this process: every page writable before it, as in a job that uses its memory.
static void TimeForks(uint64_t count) {
  for (uint64_t i = 0; i < count && i < kForksMax; ++i) {
    Touch();
    uint64_t start = Now();
    pid_t child = fork();
    uint64_t end = Now();
    if (child == 0) _exit(0);
    if (child < 0) Die("fork");
    waitpid(child, NULL, 0);
    control.fork_ns[i] = end - start;
  }
}

// Of one word each, of pages that come in no order.
static void TimeReads(uint64_t count) {
  uint64_t x = 1;
  for (uint64_t i = 0; i < count && i < kReadsMax; ++i) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    volatile char* page = memory + x % (memory_bytes / kPageBytes) * kPageBytes;
    uint64_t start = Now();
    (void)*page;
    control.read_ns[i] = Now() - start;
  }
}

static void Rest(void) {
  pthread_mutex_lock(&mutex);
  ++resting;
  pthread_cond_broadcast(&changed);
  while (!writing) pthread_cond_wait(&changed, &mutex);
  --resting;
  pthread_mutex_unlock(&mutex);
}

static void* Writer(void* argument) {
  long self = (long)argument;
  size_t pages = memory_bytes / kPageBytes;
  size_t first = pages * (size_t)self / (size_t)threads, end = pages * (size_t)(self + 1) / (size_t)threads;
  for (uint64_t generation = 1;; ++generation) {
    for (size_t page = first; page < end; ++page) {
      if (!writing) Rest();
      uint64_t start = Now();
      FillPage(memory + page * kPageBytes, Seed(generation, page));
      uint64_t took = Now() - start;
      if (took > control.writer[self].worst_ns) control.writer[self].worst_ns = took;
      ++control.writer[self].pages_written;
    }
  }
  return NULL;
}

static void LetWrite(int on) {
  pthread_mutex_lock(&mutex);
  writing = on;
  pthread_cond_broadcast(&changed);
  while (!on && resting < threads) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

static void Obey(uint64_t command) {
  switch (command) {
    case kTouch:
      Touch();
      break;
    case kFork:
      TimeForks(control.argument);
      break;
    case kChecksum:
      control.checksum = Checksum();
      break;
    case kWrite:
      LetWrite(1);
      break;
    case kRest:
      LetWrite(0);
      break;
    case kRead:
      TimeReads(control.argument);
      break;
  }
}

static void Announce(const char* directory, pid_t parent) {
  char path[4096], temporary[4100];
  snprintf(path, sizeof path, "%s/%d", directory, (int)getpid());
  snprintf(temporary, sizeof temporary, "%s.new", path);
  FILE* file = fopen(temporary, "we");
  if (!file) Die(temporary);
  fprintf(file, "%p %zu %d\n", (void*)&control, memory_bytes, (int)parent);
  if (fclose(file) != 0 || rename(temporary, path) != 0) Die(path);
}

static void Allocate(int huge) {
  size_t reserve = memory_bytes + kHugeBytes;
  char* start = mmap(NULL, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) Die("mmap");
  memory = start + (-(uintptr_t)start & (kHugeBytes - 1));
  if (madvise(memory, memory_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE) != 0) Die("madvise");
  for (size_t page = 0; page < memory_bytes / kPageBytes; ++page) {
    FillPage(memory + page * kPageBytes, Seed(0, page));
  }
}

__attribute__((noreturn)) static void Run(const char* directory, size_t mebibytes, int huge, int processes) {
  pid_t parent = 0;
  for (int i = 1; i < processes && parent == 0; ++i) {
    pid_t self = getpid(), child = fork();
    if (child < 0) Die("fork");
    if (child == 0) parent = self;
  }
  memory_bytes = (mebibytes << 20) / (size_t)processes & ~(size_t)(kHugeBytes - 1);
  Allocate(huge);
  for (long i = 0; i < threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, Writer, (void*)i) != 0) Die("pthread_create");
  }
  LetWrite(0);
  Announce(directory, parent);
  for (uint64_t last = Now();;) {
    struct timespec beat = {0, 1000000};
    nanosleep(&beat, NULL);
    uint64_t now = Now();
    if (now - last > control.beat_worst_ns) control.beat_worst_ns = now - last;
    if (control.command != kNone) {
      Obey(control.command);
      now = Now();  // what we are told to do is no stall
      control.command = kNone;
    }
    last = now;
  }
}

static int WriteSample(const char* path, size_t mebibytes) {
  FILE* file = fopen(path, "we");
  if (!file) Die(path);
  char page[kPageBytes];
  for (size_t i = 0; i < mebibytes << 8; ++i) {
    FillPage(page, Seed(0, i));
    if (fwrite(page, sizeof page, 1, file) != 1) Die(path);
  }
  if (fclose(file) != 0) Die(path);
  return 0;
}

int main(int argc, char** argv) {
  if (argc == 5 && strcmp(argv[1], "sample") == 0) {
    random_only = strcmp(argv[4], "random") == 0;
    return WriteSample(argv[2], strtoul(argv[3], NULL, 10));
  }
  if (argc != 8 || strcmp(argv[1], "run") != 0) {
    fprintf(stderr,
            "usage: %s run DIR MIB 4k|huge THREADS PROCESSES half|random\n"
            "       %s sample FILE MIB half|random\n",
            argv[0], argv[0]);
    return 2;
  }
  threads = atoi(argv[5]);
  random_only = strcmp(argv[7], "random") == 0;
  if (threads < 1 || threads > kThreadsMax) return 2;
  Run(argv[2], strtoul(argv[3], NULL, 10), strcmp(argv[4], "huge") == 0, atoi(argv[6]));
}
