// Signals its whole process group, and everybody of its session's group, all the time: each signal is counted
// once by every member, and nobody else may be in the group.
#include <sys/prctl.h>

#include "subject.h"

static volatile uint64_t* counts;
static volatile int me;
static void OnSignal(int signal) {
  ++counts[me];
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  if (getpgrp() != getpid()) SUBJECT_CHECK(setpgid(0, 0) == 0);
  counts = SubjectMap(kPageBytes, MAP_SHARED);
  char* memory = SubjectMap(32 << 20, MAP_PRIVATE);
  SubjectFill(memory, 32 << 20, 2);
  struct sigaction action = {.sa_handler = OnSignal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    me = 1;
    counts[2] = 1;
    for (;;) pause();
  }
  while (!counts[2]) SubjectSleepMs(1);
  SubjectReady();
  for (uint64_t sent = 1;; ++sent) {
    SUBJECT_CHECK(kill(0, SIGUSR1) == 0);
    while (counts[0] != sent || counts[1] != sent) {
      if (counts[0] > sent || counts[1] > sent) SubjectFail("more signals came than were sent");
      SubjectSleepMs(1);
    }
    SubjectRound();
  }
}
