// A child process as a test's subject: it does one thing, says that it is done, and stays as it is until it
// is killed.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <utility>

namespace holdfast {

class ChildProcess {
 public:
  // `body` runs in the child, which has a copy of everything the test has made so far. Under sanitizers it
  // must not allocate or lock. Returns when it has run.
  explicit ChildProcess(const std::function<void()>& body = [] {}) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      body();
      const char done = 1;
      if (::write(ends[1], &done, 1) != 1) ::_exit(1);
      ::close(ends[0]);
      ::close(ends[1]);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char done = 0;
    ready_ = pid_ > 0 && ::read(ends[0], &done, 1) == 1;
    ::close(ends[0]);
    EXPECT_TRUE(ready_) << "the child did not get through its part";
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() { KillAndCollect(); }

  pid_t pid() const { return pid_; }
  bool ready() const { return ready_; }
  void Kill() const { ::kill(pid_, SIGKILL); }
  // The wait status of its end.
  int Collect() {
    int status = 0;
    if (pid_ > 0 && ::waitpid(std::exchange(pid_, -1), &status, __WALL) < 0) return -1;
    return status;
  }
  void KillAndCollect() {
    if (pid_ <= 0) return;
    Kill();
    while (pid_ > 0) {
      const int status = Collect();
      if (WIFEXITED(status) || WIFSIGNALED(status) || status < 0) return;
    }
  }
  // Leaves the collecting to somebody else (a tracer has done it).
  void Forget() { pid_ = -1; }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

// The pid of a process that has ended and is collected.
inline pid_t DeadPid() {
  ChildProcess child;
  const pid_t pid = child.pid();
  child.KillAndCollect();
  return pid;
}

}  // namespace holdfast
