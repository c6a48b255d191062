// A ring of processes that pass a number around, each with its own memory: process_tree DIR [PROCESSES]
// [MEGABYTES] Every second one is a child of the one before it, the others are children of the first.
#include <sys/prctl.h>

#include "subject.h"

enum { kProcessesMax = 64 };
static int ring[kProcessesMax][2];
static size_t bytes;

static void Member(int self, int processes) {
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, (uint64_t)self);
  uint64_t value;
  if (self == 0) {
    value = 0;
    SUBJECT_CHECK(write(ring[0][1], &value, 8) == 8);
  }
  for (uint64_t turn = 0;; ++turn) {
    ssize_t got = read(ring[self == 0 ? processes - 1 : self - 1][0], &value, 8);
    if (got != 8) SubjectFail("process %d read %zd", self, got);
    if (value != turn * (uint64_t)processes + (uint64_t)(self ? self - 1 : processes - 1))
      SubjectFail("process %d got %llu", self, (unsigned long long)value);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, (uint64_t)self) == 0);
    if (self == 0) {
      if (turn == 0) SubjectReady();
      SubjectRound();
      SubjectSleepMs(5);
    }
    ++value;
    SUBJECT_CHECK(write(ring[self][1], &value, 8) == 8);
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int processes = (int)strtol(SubjectArgument(argc, argv, 2, "16"), NULL, 10);
  bytes = strtoul(SubjectArgument(argc, argv, 3, "2"), NULL, 10) << 20;
  for (int i = 0; i < processes; ++i) SUBJECT_CHECK(pipe(ring[i]) == 0);
  for (int i = 1; i < processes; i += 2) {
    pid_t child = fork();
    SUBJECT_CHECK(child >= 0);
    if (child) continue;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int self = i;
    if (i % 2 && i + 1 < processes && fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      self = i + 1;
    }
    Member(self, processes);
  }
  Member(0, processes);
}
