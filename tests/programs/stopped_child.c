// A child that is stopped stays stopped until it is continued, which happens in every tenth round.
#include <sys/prctl.h>

#include "subject.h"

static char State(pid_t pid) {
  char path[64], text[512] = "";
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  SUBJECT_CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0 && close(fd) == 0);
  return strrchr(text, ')')[2];
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  volatile uint64_t* beats = SubjectMap(kPageBytes, MAP_SHARED);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
      ++*beats;
      raise(SIGSTOP);
    }
  }
  int status = 0;
  SUBJECT_CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) &&
                WSTOPSIG(status) == SIGSTOP);
  SubjectReady();
  for (unsigned long turn = 1;; ++turn) {
    SubjectSleepMs(15);
    char state = State(child);
    // A tracer lets go of us one by one: the child may still be held (t), or be on its way back to its stop
    // (R).
    for (int i = 0; i < 200 && state != 'T'; ++i) {
      SubjectSleepMs(5);
      state = State(child);
    }
    if (state != 'T') SubjectFail("the child is in state %c", state);
    if (turn % 10 == 0) {
      uint64_t before = *beats;
      SUBJECT_CHECK(kill(child, SIGCONT) == 0);
      SUBJECT_CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
      SUBJECT_CHECK(*beats == before + 1);
    }
    SubjectRound();
  }
}
