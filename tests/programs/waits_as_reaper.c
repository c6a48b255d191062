// A child subreaper, so that a twin cannot be an orphan of somebody else's: still no SIGCHLD and no child in
// an ordinary wait, and its own orphans are collected by it, each once.
#include <sys/prctl.h>

#include "subject.h"

static volatile sig_atomic_t signals;
static void OnChild(int signal) {
  ++signals;
}

// A grandchild whose parent is gone: ours to collect.
static void MakeOrphan(int status) {
  int pipe_fds[2];
  SUBJECT_CHECK(pipe2(pipe_fds, O_CLOEXEC) == 0);
  pid_t child = fork();
  SUBJECT_CHECK(child >= 0);
  if (child == 0) {
    pid_t orphan = fork();
    if (orphan == 0) {
      char end;
      if (read(pipe_fds[0], &end, 1) < 0) _exit(1);  // until the parent has gone
      _exit(status);
    }
    _exit(orphan < 0);
  }
  int got = 0;
  SUBJECT_CHECK(waitpid(child, &got, 0) == child && got == 0);
  SUBJECT_CHECK(write(pipe_fds[1], "x", 1) == 1);
  SUBJECT_CHECK(waitpid(-1, &got, 0) > 0 && WIFEXITED(got) && WEXITSTATUS(got) == status);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  SUBJECT_CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
  struct sigaction action = {.sa_handler = OnChild, .sa_flags = SA_RESTART};
  SUBJECT_CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
  char* memory = SubjectMap(48 << 20, MAP_PRIVATE);  // so that a drain takes a while
  SubjectFill(memory, 48 << 20, 1);
  SubjectReady();
  for (unsigned long turn = 1;; ++turn) {
    signals = 0;
    for (int i = 0; i < 50; ++i) {
      pid_t child = waitpid(-1, NULL, WNOHANG | WUNTRACED | WCONTINUED);
      if (child != -1 || errno != ECHILD) SubjectFail("waitpid(-1) gave %d", child);
      if (signals) SubjectFail("SIGCHLD, and no child of ours has ended");
      SubjectSleepMs(1);
    }
    MakeOrphan((int)(turn % 100) + 1);
    int reaper = 0;
    SUBJECT_CHECK(prctl(PR_GET_CHILD_SUBREAPER, &reaper) == 0);
    if (!reaper) SubjectFail("it is no subreaper any more");
    SubjectRound();
  }
}
