// Children that have ended and were not waited for: each keeps its status (an exit, a signal).
#include "subject.h"

static pid_t Ended(int how) {
  pid_t child = fork();
  SUBJECT_CHECK(child >= 0);
  if (child == 0) {
    if (how < 0) raise(-how);
    _exit(how);
  }
  siginfo_t info;
  SUBJECT_CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) == 0);
  return child;
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  pid_t exited = Ended(3), killed = Ended(-SIGUSR1);
  SubjectReady();
  for (unsigned long turn = 1;; ++turn) {
    SubjectSleepMs(20);
    siginfo_t info = {0};
    SUBJECT_CHECK(waitid(P_PID, (id_t)exited, &info, WEXITED | WNOWAIT | WNOHANG) == 0);
    SUBJECT_CHECK(info.si_pid == exited && info.si_code == CLD_EXITED && info.si_status == 3);
    SUBJECT_CHECK(waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT | WNOHANG) == 0);
    SUBJECT_CHECK(info.si_pid == killed && info.si_code == CLD_KILLED && info.si_status == SIGUSR1);
    if (turn % 10 == 0) {
      int status = 0;
      SUBJECT_CHECK(waitpid(exited, &status, 0) == exited && WEXITSTATUS(status) == 3);
      exited = Ended(3);
    }
    SubjectRound();
  }
}
