// A tree as a shell makes it: groups, a session of its own below, and every parent, group and session stays
// what it is.
#include <sys/prctl.h>

#include "subject.h"

enum { kChildren = 5 };
struct Identity {
  volatile pid_t pid, parent, group, session;
  volatile uint64_t beats;
};

static void Live(struct Identity* me) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) {
    SUBJECT_CHECK(getpid() == me->pid && getppid() == me->parent && getpgrp() == me->group &&
                  getsid(0) == me->session);
    ++me->beats;
    SubjectSleepMs(3);
  }
}

static void Remember(struct Identity* me) {
  me->parent = getppid();
  me->group = getpgrp();
  me->session = getsid(0);
  __atomic_store_n(&me->pid, getpid(), __ATOMIC_SEQ_CST);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct Identity* all = SubjectMap(sizeof *all * (kChildren + 2), MAP_SHARED);
  Remember(&all[kChildren]);
  pid_t group = 0;
  for (int i = 0; i < kChildren; ++i) {
    pid_t child = fork();
    if (child == 0) {
      if (i == 1) setpgid(0, 0);      // a group of its own
      if (i == 2) setpgid(0, group);  // joins the group of child 1
      if (i == 3) setsid();           // a session of its own, with a child in it
      if (i == 3 && fork() == 0) {
        Remember(&all[kChildren + 1]);
        Live(&all[kChildren + 1]);
      }
      Remember(&all[i]);
      Live(&all[i]);
    }
    if (i == 1) {
      setpgid(child, child);
      group = child;
    }
  }
  for (int i = 0; i < kChildren + 2; ++i) {
    while (i != kChildren && !all[i].beats) SubjectSleepMs(1);
  }
  SubjectReady();
  for (;;) {
    uint64_t before[kChildren + 2];
    for (int i = 0; i < kChildren + 2; ++i) before[i] = all[i].beats;
    for (int i = 0; i < kChildren + 2; ++i) {
      while (i != kChildren && all[i].beats == before[i]) SubjectSleepMs(1);
    }
    const struct Identity* me = &all[kChildren];
    SUBJECT_CHECK(getpid() == me->pid && getpgrp() == me->group && getsid(0) == me->session);
    SUBJECT_CHECK(kill(-group, 0) == 0);
    SubjectRound();
  }
}
