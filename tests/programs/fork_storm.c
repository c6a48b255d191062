// Forks children all the time that verify the memory they inherited and exit; the parent rewrites it
// meanwhile.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 32 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  for (uint64_t seed = 1;; ++seed) {
    SubjectFill(memory, bytes, seed);
    pid_t children[3];
    for (int i = 0; i < 3; ++i) {
      children[i] = fork();
      SUBJECT_CHECK(children[i] >= 0);
      if (children[i] == 0) _exit(SubjectWrongPages(memory, bytes, seed) ? 1 : 42);
    }
    SubjectFill(memory, bytes, ~seed);  // must not be seen by the children
    for (int i = 0; i < 3; ++i) {
      int status = 0;
      pid_t child = waitpid(children[i], &status, 0);
      if (child != children[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 42) {
        SubjectFail("waitpid(%d) gave %d, status %#x", children[i], child, status);
      }
    }
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, ~seed) == 0);
    SUBJECT_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    if (subject_round == 0) SubjectReady();
    SubjectRound();
  }
}
