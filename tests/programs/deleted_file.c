// A file that is open but deleted, and rewritten in every round, and one that another file has taken the name
// of. deleted_file DIR [MEBIBYTES]
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  // More than the 1 MiB that CRIU takes by itself.
  const size_t bytes = strtoul(SubjectArgument(argc, argv, 2, "3"), NULL, 10) << 20;
  char path[4096], taken[4096];
  int fd = open(SubjectPath(path, sizeof path, "deleted"), O_RDWR | O_CREAT | O_TRUNC, 0600);
  char* content = malloc(bytes);
  SubjectFill(content, bytes, 15);
  SUBJECT_CHECK(fd >= 0 && write(fd, content, bytes) == (ssize_t)bytes && unlink(path) == 0);
  int old = open(SubjectPath(taken, sizeof taken, "taken"), O_RDWR | O_CREAT | O_TRUNC, 0600);
  SUBJECT_CHECK(old >= 0 && write(old, "old", 3) == 3 && unlink(taken) == 0);
  int other = open(taken, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  SUBJECT_CHECK(other >= 0 && write(other, "another", 7) == 7 && close(other) == 0);
  SubjectReady();
  for (uint64_t seed = 15;;) {
    SubjectSleepMs(20);
    memset(content, 0, bytes);
    SUBJECT_CHECK(pread(fd, content, bytes, 0) == (ssize_t)bytes &&
                  SubjectWrongPages(content, bytes, seed) == 0);
    SubjectFill(content, bytes, ++seed);
    SUBJECT_CHECK(pwrite(fd, content, bytes, 0) == (ssize_t)bytes);
    char text[16] = "";
    SUBJECT_CHECK(pread(old, text, sizeof text, 0) == 3 && !memcmp(text, "old", 3));
    struct stat status;
    SUBJECT_CHECK(fstat(fd, &status) == 0 && status.st_nlink == 0 && access(path, F_OK) == -1);
    SubjectRound();
  }
}
