// The first process of every pod: it keeps the pod's namespaces, takes over orphans where the pod's
// containers share their process ids, and ends when it is told to.
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

static void End(int signal) {
  (void)signal;
  _exit(0);
}

static void CollectOrphans(int signal) {
  (void)signal;
  while (waitpid(-1, NULL, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction end = {.sa_handler = End};
  struct sigaction collect = {.sa_handler = CollectOrphans, .sa_flags = SA_NOCLDSTOP};
  // As init of a pid namespace it gets only the signals that it handles.
  sigaction(SIGINT, &end, NULL);
  sigaction(SIGTERM, &end, NULL);
  sigaction(SIGCHLD, &collect, NULL);
  for (;;) pause();
}
