// A job that has never had a child: no SIGCHLD, no child in any kind of wait, none in /proc, ever.
#include <dirent.h>

#include "subject.h"

static volatile sig_atomic_t signals;
static volatile sig_atomic_t signal_code;
static void OnChild(int signal, siginfo_t* info, void* context) {
  ++signals;
  signal_code = info->si_code;
}

static void CheckChildrenFile(const char* thread) {
  char path[300], text[64] = "";
  snprintf(path, sizeof path, "/proc/self/task/%s/children", thread);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // a kernel without it
  ssize_t bytes = read(fd, text, sizeof text - 1);
  close(fd);
  if (bytes > 0) SubjectFail("/proc shows a child: %s", text);
}

int main(int argc, char** argv) {
  SubjectStart(argc, argv);
  struct sigaction action = {.sa_sigaction = OnChild, .sa_flags = SA_SIGINFO | SA_RESTART};
  SUBJECT_CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
  char* memory = SubjectMap(64 << 20, MAP_PRIVATE);  // so that a drain takes a while
  SubjectFill(memory, 64 << 20, 1);
  static const int kFlags[] = {0, __WALL, __WCLONE, __WNOTHREAD | __WALL, WUNTRACED | WCONTINUED | __WALL};
  SubjectReady();
  for (unsigned long turn = 1;; ++turn) {
    for (size_t i = 0; i < sizeof kFlags / sizeof *kFlags; ++i) {
      int status = 0;
      pid_t child = waitpid(-1, &status, WNOHANG | kFlags[i]);
      if (child != -1 || errno != ECHILD) {
        SubjectFail("waitpid(-1) with flags %#x gave %d, status %#x", (unsigned)kFlags[i], child,
                    (unsigned)status);
      }
    }
    siginfo_t info = {0};
    for (int i = 0; i < 2; ++i) {
      int flags = WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT | (i ? __WALL : 0);
      if (waitid(P_ALL, 0, &info, flags) != -1 || errno != ECHILD)
        SubjectFail("waitid found %d", info.si_pid);
    }
    if (signals) SubjectFail("%d SIGCHLD, si_code %d", signals, signal_code);
    struct timespec wait = {0, 500000};
    nanosleep(&wait, NULL);
    if (turn % 50) continue;
    DIR* threads = opendir("/proc/self/task");
    for (struct dirent* entry; threads && (entry = readdir(threads));) {
      if (*entry->d_name != '.') CheckChildrenFile(entry->d_name);
    }
    if (threads) closedir(threads);
    SubjectRound();
  }
}
