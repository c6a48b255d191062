// Pipes and Unix socket pairs with content in flight: what is read is what was written, in order, and nothing
// more. pipe_content DIR pipe|stream|datagram|seqpacket|tcp
#include <arpa/inet.h>
#include <sys/socket.h>

#include "subject.h"

static int reader, writer;

static void MakeTcp(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t bytes = sizeof address;
  SUBJECT_CHECK(bind(listener, (struct sockaddr*)&address, bytes) == 0 && listen(listener, 4) == 0);
  SUBJECT_CHECK(getsockname(listener, (struct sockaddr*)&address, &bytes) == 0);
  writer = socket(AF_INET, SOCK_STREAM, 0);
  SUBJECT_CHECK(connect(writer, (struct sockaddr*)&address, bytes) == 0);
  reader = accept(listener, NULL, NULL);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  const char* kind = SubjectArgument(argc, argv, 2, "pipe");
  int fds[2];
  if (!strcmp(kind, "pipe")) {
    SUBJECT_CHECK(pipe(fds) == 0 && fcntl(fds[1], F_SETPIPE_SZ, 1 << 19) >= 1 << 19);
  } else if (!strcmp(kind, "tcp")) {
    MakeTcp();
    fds[0] = reader;
    fds[1] = writer;
  } else {
    int type = !strcmp(kind, "stream")     ? SOCK_STREAM
               : !strcmp(kind, "datagram") ? SOCK_DGRAM
                                           : SOCK_SEQPACKET;
    SUBJECT_CHECK(socketpair(AF_UNIX, type, 0, fds) == 0);
  }
  reader = fds[0];
  writer = fds[1];
  SUBJECT_CHECK(reader >= 0 && writer >= 0);
  uint64_t written = 0, seen = 0, chunk[100];
  const uint64_t ahead = !strcmp(kind, "datagram") ? 500 : 4000;  // words in flight
  while (written < ahead) {
    for (int i = 0; i < 100; ++i) chunk[i] = SubjectMix(written++);
    SUBJECT_CHECK(write(writer, chunk, sizeof chunk) == sizeof chunk);
  }
  SubjectReady();
  for (;;) {
    SubjectSleepMs(10);
    size_t have = 0;
    while (have < sizeof chunk) {
      ssize_t bytes = read(reader, (char*)chunk + have, sizeof chunk - have);
      if (bytes <= 0) SubjectFail("read gave %zd", bytes);
      have += (size_t)bytes;
    }
    for (int i = 0; i < 100; ++i) {
      if (chunk[i] != SubjectMix(seen++)) SubjectFail("word %llu is wrong", (unsigned long long)seen - 1);
    }
    for (int i = 0; i < 100; ++i) chunk[i] = SubjectMix(written++);
    SUBJECT_CHECK(write(writer, chunk, sizeof chunk) == sizeof chunk);
    if (!strcmp(kind, "pipe")) SUBJECT_CHECK(fcntl(writer, F_GETPIPE_SZ) >= 1 << 19);
    SubjectRound();
  }
}
