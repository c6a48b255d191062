// Runs as nobody, without capabilities, in a few groups.
#include <grp.h>
#include <sys/prctl.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  if (geteuid() != 0) SubjectSkip("only root can become nobody");
  gid_t groups[2] = {65534, 12};
  SUBJECT_CHECK(setgroups(2, groups) == 0 && setresgid(65534, 65534, 65534) == 0 &&
                setresuid(65534, 65534, 65534) == 0);
  const size_t bytes = 8 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, 16);
  int dumpable = prctl(PR_GET_DUMPABLE);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    uid_t users[3];
    gid_t now[8];
    SUBJECT_CHECK(getresuid(&users[0], &users[1], &users[2]) == 0);
    SUBJECT_CHECK(users[0] == 65534 && users[1] == 65534 && users[2] == 65534 && getegid() == 65534);
    SUBJECT_CHECK(getgroups(8, now) == 2);
    SUBJECT_CHECK(setuid(0) == -1 && errno == EPERM);
    SUBJECT_CHECK(prctl(PR_GET_DUMPABLE) == dumpable);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 16) == 0 && kill(child, 0) == 0);
    SubjectRound();
  }
}
