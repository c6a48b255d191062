// SPDX-License-Identifier: MIT
#include "criu_plugin/dead_threads.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "criu_plugin/stop_tree.h"
#include "criu_plugin/threads.h"

namespace holdfast {
namespace {

constexpr long kIntervalNanoseconds = 100'000'000;
constexpr int kDyingMillisecondsMax = 1000;  // the last thread gives back the process's memory: 0.1 s/GiB

volatile sig_atomic_t rang = 0;

// Interrupts what this process waits in, every interval. Made once: a dump waits some hundred times.
class Bell {
 public:
  Bell() {
    struct sigaction action {};
    action.sa_handler = [](int) { rang = 1; };  // no SA_RESTART: the wait has to end
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMAX;
    made_ = sigaction(SIGRTMAX, &action, nullptr) == 0 && timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  }
  void Start() { Set(kIntervalNanoseconds); }
  void Stop() {
    const int error = errno;
    Set(0);
    errno = error;
  }

 private:
  void Set(long nanoseconds) {
    const itimerspec interval{{0, nanoseconds}, {0, nanoseconds}};
    if (made_) timer_settime(timer_, 0, &interval, nullptr);
  }

  timer_t timer_{};
  bool made_ = false;
};

// As /proc shows it: 'Z' of a zombie, 't' of one that stands still for its tracer; 0 when it is gone.
char StateOf(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/stat", thread);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return 0;
  char line[512];
  const size_t bytes = fread(line, 1, sizeof line - 1, file);
  fclose(file);
  line[bytes] = 0;
  const char* name_end = strrchr(line, ')');
  return name_end != nullptr && name_end[1] == ' ' ? name_end[2] : 0;
}

void Collect(pid_t thread) {
  siginfo_t info{};
  // No stop of one that lives is taken from whoever waits for it.
  waitid(P_PID, static_cast<id_t>(thread), &info, WEXITED | WNOHANG | __WALL);
}

void WaitForDeadThreads(pid_t pid) {
  if (StateOf(pid) != 'Z') return;
  ForEachThread(pid, [pid](pid_t thread) {
    if (thread != pid) Collect(thread);
  });
}

// Until the other threads of a process whose first one is a zombie are gone. Where one of them stands still
// for us, they live on without the first, and nothing is waited for.
void AwaitDyingThreads(pid_t pid) {
  bool dying = StateOf(pid) == 'Z';
  for (int waited = 0; dying && waited < kDyingMillisecondsMax; ++waited) {
    int others = 0;
    bool any_stopped = false;
    ForEachThread(pid, [&](pid_t thread) {
      if (thread == pid) return;
      Collect(thread);
      const char state = StateOf(thread);
      any_stopped = any_stopped || state == 't';
      others += state != 0 ? 1 : 0;
    });
    dying = others > 0 && !any_stopped;
    const timespec pause{0, 1'000'000};
    if (dying) nanosleep(&pause, nullptr);
  }
}

bool TakeRing() {
  const bool was = rang != 0;
  rang = 0;
  return was;
}

pid_t Wait(pid_t pid, int* status, int options, rusage* usage) {
  return static_cast<pid_t>(syscall(SYS_wait4, pid, status, options, usage));
}

}  // namespace

pid_t WaitPastDeadThreads(pid_t pid, int* status, int options, rusage* usage) {
  if ((options & WNOHANG) != 0) return Wait(pid, status, options, usage);
  if (!WasSeized(pid)) {
    const pid_t waited = Wait(pid, status, options, usage);
    const int error = errno;
    if (waited < 0 && error == ECHILD && pid > 0) AwaitDyingThreads(pid);
    errno = error;
    return waited;
  }
  static Bell bell;
  bell.Start();
  pid_t waited = 0;
  do {
    if (TakeRing()) WaitForDeadThreads(pid);
    waited = Wait(pid, status, options, usage);
  } while (waited < 0 && errno == EINTR && rang != 0);
  bell.Stop();
  return waited;
}

}  // namespace holdfast
