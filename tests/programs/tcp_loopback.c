// A server and a client process of one tree talk over TCP on loopback; both count, both verify, the listener
// stays open and takes new connections.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "subject.h"

static int Connect(const struct sockaddr_in* address) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  SUBJECT_CHECK(connect(fd, (const struct sockaddr*)address, sizeof *address) == 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void Serve(int fd) {
  for (uint64_t expected = 1, value;; ++expected) {
    if (recv(fd, &value, sizeof value, MSG_WAITALL) != sizeof value) _exit(0);
    value = value == expected ? SubjectMix(value) : 0;
    if (send(fd, &value, sizeof value, MSG_NOSIGNAL) != sizeof value) _exit(0);
  }
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t bytes = sizeof address;
  SUBJECT_CHECK(bind(listener, (struct sockaddr*)&address, bytes) == 0 && listen(listener, 8) == 0);
  SUBJECT_CHECK(getsockname(listener, (struct sockaddr*)&address, &bytes) == 0);
  pid_t server = fork();
  if (server == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
      int fd = accept(listener, NULL, NULL);
      if (fd < 0) continue;
      if (fork() == 0) Serve(fd);
      close(fd);
    }
  }
  close(listener);
  int kept = Connect(&address);
  SubjectReady();
  for (uint64_t turn = 1;; ++turn) {
    uint64_t answer = 0;
    SUBJECT_CHECK(send(kept, &turn, sizeof turn, MSG_NOSIGNAL) == sizeof turn);
    SubjectSleepMs(5);  // the answer waits in the socket
    SUBJECT_CHECK(recv(kept, &answer, sizeof answer, MSG_WAITALL) == sizeof answer);
    SUBJECT_CHECK(answer == SubjectMix(turn));
    if (turn % 4 == 0) {
      int fresh = Connect(&address);
      uint64_t one = 1;
      SUBJECT_CHECK(send(fresh, &one, 8, MSG_NOSIGNAL) == 8 && recv(fresh, &answer, 8, MSG_WAITALL) == 8);
      SUBJECT_CHECK(answer == SubjectMix(1) && close(fresh) == 0);
    }
    SubjectRound();
  }
}
