// Threads asleep in system calls that the kernel restarts by itself: none may come back early or with EINTR.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "subject.h"

static int pipe_fds[2], sockets[2];
static uint32_t futex_word;

static void* InRead(void* argument) {
  char byte;
  ssize_t bytes = read(pipe_fds[0], &byte, 1);
  SubjectFail("read came back with %zd", bytes);
}
static void* InReceive(void* argument) {
  char byte;
  ssize_t bytes = recv(sockets[0], &byte, 1, 0);
  SubjectFail("recv came back with %zd", bytes);
}
static void* InFutex(void* argument) {
  for (;;) {
    long result = syscall(SYS_futex, &futex_word, FUTEX_WAIT, 0, NULL, NULL, 0);
    SubjectFail("futex wait came back with %ld", result);
  }
}
static void* InWait(void* argument) {
  int status;
  pid_t child = waitpid(*(pid_t*)argument, &status, 0);
  SubjectFail("waitpid came back with %d", child);
}
static void* InLock(void* argument) {
  pthread_mutex_lock(argument);
  SubjectFail("the lock was taken");
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  SUBJECT_CHECK(pipe(pipe_fds) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  static pid_t child;
  child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  pthread_t thread;
  pthread_create(&thread, NULL, InRead, NULL);
  pthread_create(&thread, NULL, InReceive, NULL);
  pthread_create(&thread, NULL, InFutex, NULL);
  pthread_create(&thread, NULL, InWait, &child);
  pthread_create(&thread, NULL, InLock, &mutex);
  SubjectSleepMs(50);
  SubjectReady();
  for (;;) {
    SubjectSleepMs(20);
    SUBJECT_CHECK(kill(child, 0) == 0);
    SubjectRound();
  }
}
