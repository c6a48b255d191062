// eventfd, signalfd, epoll and inotify with something in them, used in every round. "semaphore": an eventfd
// that counts down by one also stays such a one, which CRIU 4.1 by itself does not restore.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>

#include "subject.h"

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int with_semaphore = !strcmp(SubjectArgument(argc, argv, 2, ""), "semaphore");
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  SUBJECT_CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  int event = eventfd(42, EFD_NONBLOCK), semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
  int signals = signalfd(-1, &set, SFD_NONBLOCK), poll = epoll_create1(EPOLL_CLOEXEC);
  int notify = inotify_init1(IN_NONBLOCK), pipe_fds[2];
  SUBJECT_CHECK(pipe(pipe_fds) == 0 && event >= 0 && semaphore >= 0 && signals >= 0 && poll >= 0 &&
                notify >= 0);
  char watched[4096], file[4200];
  SubjectPath(watched, sizeof watched, "watched");
  snprintf(file, sizeof file, "%s/x", watched);
  SUBJECT_CHECK(mkdir(watched, 0777) == 0 || errno == EEXIST);
  int watch = inotify_add_watch(notify, watched, IN_CREATE | IN_DELETE);
  struct epoll_event read_event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788};
  struct epoll_event pipe_event = {.events = EPOLLIN | EPOLLET, .data.u64 = 99};
  SUBJECT_CHECK(epoll_ctl(poll, EPOLL_CTL_ADD, event, &read_event) == 0);
  SUBJECT_CHECK(epoll_ctl(poll, EPOLL_CTL_ADD, pipe_fds[0], &pipe_event) == 0);
  SUBJECT_CHECK(kill(getpid(), SIGUSR1) == 0);  // always one in the signalfd
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    struct epoll_event got[4];
    SUBJECT_CHECK(epoll_wait(poll, got, 4, 0) == 1 && got[0].data.u64 == 0x1122334455667788);
    uint64_t value = 0;
    SUBJECT_CHECK(read(event, &value, 8) == 8 && value == 42);
    SUBJECT_CHECK(epoll_wait(poll, got, 4, 0) == 0);
    SUBJECT_CHECK(write(event, &value, 8) == 8);
    SUBJECT_CHECK(write(pipe_fds[1], "x", 1) == 1);
    SUBJECT_CHECK(epoll_wait(poll, got, 4, 0) == 2);
    char bytes[4096] __attribute__((aligned(8)));
    SUBJECT_CHECK(read(pipe_fds[0], bytes, 1) == 1);
    for (int i = 0; i < 3 && with_semaphore; ++i)
      SUBJECT_CHECK(read(semaphore, &value, 8) == 8 && value == 1);
    if (with_semaphore) {
      SUBJECT_CHECK(read(semaphore, &value, 8) == -1 && errno == EAGAIN);
      value = 3;
      SUBJECT_CHECK(write(semaphore, &value, 8) == 8);
    }
    struct signalfd_siginfo info;
    SUBJECT_CHECK(read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGUSR1);
    SUBJECT_CHECK(kill(getpid(), SIGUSR1) == 0);
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    SUBJECT_CHECK(fd >= 0 && close(fd) == 0 && unlink(file) == 0);
    // A restart may leave an IN_IGNORED of CRIU's own; only our file counts.
    int created = 0, deleted = 0;
    for (ssize_t length; (length = read(notify, bytes, sizeof bytes)) > 0;) {
      for (char* at = bytes; at < bytes + length;) {
        struct inotify_event* entry = (struct inotify_event*)at;
        if (entry->wd == watch && entry->len && !strcmp(entry->name, "x")) {
          created += (entry->mask & IN_CREATE) != 0;
          deleted += (entry->mask & IN_DELETE) != 0;
        }
        at += sizeof *entry + entry->len;
      }
    }
    if (created < 1 || deleted < 1) SubjectFail("inotify saw %d created, %d deleted", created, deleted);
    SubjectRound();
  }
}
