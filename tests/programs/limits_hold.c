// Resource limits, umask, working directory, environment, scheduling and the other settings of a process.
#include <sys/prctl.h>
#include <sys/resource.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  char cwd[4096], now[4096];
  SUBJECT_CHECK(chdir(subject_directory) == 0 && getcwd(cwd, sizeof cwd));
  umask(027);
  setenv("SUBJECT_VARIABLE", "a value", 1);
  struct rlimit files = {123, 456}, core = {0, 1 << 20}, limit;
  SUBJECT_CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0 && setrlimit(RLIMIT_CORE, &core) == 0);
  SUBJECT_CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
  prctl(PR_SET_NAME, "a (name) \t2");
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_TIMERSLACK, 77000);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(getcwd(now, sizeof now) && strcmp(cwd, now) == 0);
    mode_t mask = umask(027);
    SUBJECT_CHECK(mask == 027);
    SUBJECT_CHECK(!strcmp(getenv("SUBJECT_VARIABLE"), "a value"));
    SUBJECT_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == 123 && limit.rlim_max == 456);
    SUBJECT_CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 1 << 20);
    SUBJECT_CHECK(getpriority(PRIO_PROCESS, 0) == 5);
    SUBJECT_CHECK(prctl(PR_GET_NAME, now) == 0 && !strcmp(now, "a (name) \t2"));
    int subreaper = 0;
    SUBJECT_CHECK(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper == 1);
    SubjectRound();
  }
}
