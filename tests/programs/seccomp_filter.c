// A seccomp filter kills the process for anything but the few calls that the loop makes: nothing may ever be
// called in its name.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const size_t bytes = 16 << 20;
  char* memory = SubjectMap(bytes, MAP_PRIVATE);
  SubjectFill(memory, bytes, 12);
#define ALLOW(name) \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
  struct sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      ALLOW(openat),
      ALLOW(pwrite64),
      ALLOW(close),
      ALLOW(clock_nanosleep),
      ALLOW(restart_syscall),
      ALLOW(rt_sigreturn),
      ALLOW(exit_group),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
  SUBJECT_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  SubjectReady();
  SUBJECT_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
  for (;;) {
    SubjectSleepMs(10);
    SUBJECT_CHECK(SubjectWrongPages(memory, bytes, 12) == 0);
    SubjectRound();
  }
}
