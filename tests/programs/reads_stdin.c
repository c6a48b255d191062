// Copies its standard input to DIR/copy, line by line, counting in memory: every line of the copy is "N
// text".
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  char path[4096], line[256];
  size_t used = 0;
  unsigned long number = 0;
  int fd = open(SubjectPath(path, sizeof path, "copy"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
  SUBJECT_CHECK(fd >= 0);
  SubjectReady();
  for (;;) {
    ssize_t bytes = read(0, line + used, 1);
    if (bytes == 0) break;
    SUBJECT_CHECK(bytes == 1 && used + 1 < sizeof line);
    if (line[used++] != '\n') continue;
    line[used] = 0;
    SUBJECT_CHECK(dprintf(fd, "%lu %s", ++number, line) > 0);
    used = 0;
    SubjectRound();
  }
  SubjectWrite("end", "of input");
  return 5;
}
