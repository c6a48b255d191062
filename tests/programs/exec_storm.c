// Executes itself again and again; the generation, told in the environment, has to fit the memory it fills.
#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 24 << 20;
  const char* told = getenv("GENERATION");
  uint64_t generation = told ? strtoull(told, NULL, 10) : 0;
  subject_round = generation;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SUBJECT_CHECK(*(uint64_t*)memory == 0);
  SubjectFill(memory, bytes, generation);
  for (int i = 0; i < 10; ++i) {
    SubjectSleepMs(2);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, generation) == 0);
  }
  SUBJECT_CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
  if (generation == 0) SubjectReady();
  SubjectRound();
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)generation + 1);
  setenv("GENERATION", text, 1);
  execv("/proc/self/exe", argv);
  SubjectFail("execv");
}
