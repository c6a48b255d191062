// Counts epochs, notes each in $HOLDFAST_NOTE and then appends it to DIR/epochs.
#include "subject.h"

static void Write(const char* path, int flags, unsigned long epoch) {
  int fd = open(path, O_WRONLY | O_CREAT | flags, 0666);
  SUBJECT_CHECK(fd >= 0 && dprintf(fd, "epoch=%lu loss=%.3f\n", epoch, 100.0 / (double)epoch) > 0);
  close(fd);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const char* note = getenv("HOLDFAST_NOTE");
  SUBJECT_CHECK(note != NULL);
  char log[4096];
  SubjectPath(log, sizeof log, "epochs");
  for (unsigned long epoch = 1;; ++epoch) {
    Write(note, O_TRUNC, epoch);
    Write(log, O_APPEND, epoch);
    if (epoch == 1) SubjectReady();
    SubjectSleepMs(5);
    SubjectRound();
  }
}
