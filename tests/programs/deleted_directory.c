// The working directory has been deleted.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  char path[4096], now[4096];
  SUBJECT_CHECK(mkdir(SubjectPath(path, sizeof path, "gone"), 0700) == 0);
  SUBJECT_CHECK(chdir(path) == 0 && rmdir(path) == 0);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(getcwd(now, sizeof now) == NULL && errno == ENOENT);
    SubjectRound();
  }
}
