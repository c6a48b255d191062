// Guard markers inside a mapping (MADV_GUARD_INSTALL, since Linux 6.13; thread stacks of newer C libraries
// have them). "keep": a guarded page still faults.
#include <setjmp.h>

#include "subject.h"

static sigjmp_buf back;
static void OnFault(int signal) {
  siglongjmp(back, signal);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int keep = !strcmp(SubjectArgument(argc, argv, 2, ""), "keep");
  const size_t bytes = 1 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, 11);
  if (madvise(memory + bytes / 2, kPageBytes, 102 /* MADV_GUARD_INSTALL */) != 0) {
    SubjectSkip("the kernel has no MADV_GUARD_INSTALL");
  }
  struct sigaction action = {.sa_handler = OnFault, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes / 2, 11) == 0);
    const uint64_t* after = (uint64_t*)(memory + bytes / 2 + kPageBytes);
    SUBJECT_CHECK(*after == SubjectMix(11 + (bytes / 2 + kPageBytes) / 8));
    if (keep && sigsetjmp(back, 1) == 0) {
      (void)*(volatile char*)(memory + bytes / 2);
      SubjectFail("the guarded page could be read");
    }
    SubjectRound();
  }
}
