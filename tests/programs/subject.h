// What every program here shares: it is told a directory, sets itself up, says so in DIR/ready (its pid),
// then checks its own state round after round and keeps DIR/verdict at "ok ROUND". The first thing that is
// wrong is written to DIR/bad, which nobody ever removes, and the program exits with 99.
//
// With SUBJECT_ROUNDS=N in the environment it exits with 0 after N good rounds: so it can be tried by itself.
// Reports are one open, one pwrite of a fixed size and one close: nothing stays open between them, and the
// few system calls needed are known to those programs that forbid all others.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kPageBytes = 4096, kExitBad = 99, kExitSkip = 77 };

static char subject_directory[3072];
static unsigned long subject_rounds_max;
static unsigned long subject_round;

static inline const char* SubjectPath(char* buffer, size_t bytes, const char* name) {
  snprintf(buffer, bytes, "%s/%s", subject_directory, name);
  return buffer;
}

static inline void SubjectWrite(const char* name, const char* text) {
  char path[4096], record[256];
  memset(record, ' ', sizeof record);
  size_t length = strlen(text);
  memcpy(record, text, length < sizeof record - 1 ? length : sizeof record - 1);
  record[sizeof record - 1] = '\n';
  int fd = open(SubjectPath(path, sizeof path, name), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0 || pwrite(fd, record, sizeof record, 0) != (ssize_t)sizeof record) _exit(kExitBad);
  close(fd);
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void SubjectFail(const char* format, ...) {
  int error_number = errno;
  char text[200], full[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  snprintf(full, sizeof full, "%s (errno %d, round %lu)", text, error_number, subject_round);
  SubjectWrite("bad", full);
  _exit(kExitBad);
}

// This machine cannot show the behaviour at all.
__attribute__((noreturn)) static inline void SubjectSkip(const char* why) {
  SubjectWrite("skip", why);
  _exit(kExitSkip);
}

#define SUBJECT_CHECK(condition)                                                             \
  do {                                                                                       \
    if (!(condition)) SubjectFail("%s:%d: not so: %s", __FILE_NAME__, __LINE__, #condition); \
  } while (0)

// argv[1] is the directory; argv[index] with a default for programs that take more.
static inline void SubjectStart(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s DIRECTORY [...]\n", argv[0]);
    exit(2);
  }
  snprintf(subject_directory, sizeof subject_directory, "%s", argv[1]);
  const char* rounds = getenv("SUBJECT_ROUNDS");
  subject_rounds_max = rounds ? strtoul(rounds, NULL, 10) : 0;
}

static inline const char* SubjectArgument(int argc, char** argv, int index, const char* otherwise) {
  return index < argc ? argv[index] : otherwise;
}

static inline void SubjectReady(void) {
  char text[32];
  snprintf(text, sizeof text, "%d", (int)getpid());
  SubjectWrite("ready", text);
}

static inline void SubjectSleepMs(long milliseconds) {
  struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
}

// Everything was right once more.
static inline void SubjectRound(void) {
  char text[64];
  ++subject_round;
  snprintf(text, sizeof text, "ok %lu", subject_round);
  SubjectWrite("verdict", text);
  if (subject_rounds_max && subject_round >= subject_rounds_max) exit(0);
}

static inline uint64_t SubjectMix(uint64_t x) {
  x = (x ^ (x >> 31)) * 0x7FB5D329728EA185ull;
  x = (x ^ (x >> 27)) * 0x81DADEF4BC2DD44Dull;
  return x ^ (x >> 33);
}

// The first and the last word of every page are made of `seed` and their place.
static inline void SubjectFill(void* start, size_t bytes, uint64_t seed) {
  uint64_t* words = start;
  for (size_t i = 0; i < bytes / 8; i += kPageBytes / 8) {
    words[i] = SubjectMix(seed + i);
    if (i + kPageBytes / 8 - 1 < bytes / 8) words[i + kPageBytes / 8 - 1] = SubjectMix(~seed - i);
  }
}

// The number of pages that are not what SubjectFill made them.
static inline size_t SubjectWrongPages(const void* start, size_t bytes, uint64_t seed) {
  const uint64_t* words = start;
  size_t wrong = 0;
  for (size_t i = 0; i < bytes / 8; i += kPageBytes / 8) {
    wrong += words[i] != SubjectMix(seed + i) ||
             (i + kPageBytes / 8 - 1 < bytes / 8 && words[i + kPageBytes / 8 - 1] != SubjectMix(~seed - i));
  }
  return wrong;
}

static inline void* SubjectMap(size_t bytes, int flags) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) SubjectFail("mmap of %zu bytes", bytes);
  return memory;
}

// A figure in kB from /proc/self/status or, summed, from /proc/self/smaps.
static inline long SubjectProcKilobytes(const char* file, const char* key) {
  FILE* stream = fopen(file, "re");
  if (!stream) return -1;
  char line[4096];
  long sum = 0;
  while (fgets(line, sizeof line, stream)) {
    if (strncmp(line, key, strlen(key)) == 0) sum += strtol(line + strlen(key) + 1, NULL, 10);
  }
  fclose(stream);
  return sum;
}
