// A child program: started with exactly the descriptors and environment given, killed when its handle goes
// away.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

struct SpawnOptions {
  std::vector<std::string> arguments;                            // [0] is the program, an absolute path
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
  // Our descriptor -> the number it gets in the child. Everything else but 0, 1, 2 is closed.
  std::vector<std::pair<int, int>> descriptors;
  int output = -1;  // becomes the child's stdout and stderr; -1: /dev/null. stdin is /dev/null
  // Neither our death nor a terminal's Ctrl-C ends it: a program that must put things right before it goes.
  bool outlives_us = false;
  // Enter the pid and mount namespaces of this process first (0: stay in ours).
  pid_t enter_namespaces_of = 0;
  bool enter_network = false;  // its network namespace, too
};

class Subprocess {
 public:
  static Result<Subprocess> Spawn(const SpawnOptions& options);
  Subprocess(Subprocess&& other) noexcept;
  Subprocess& operator=(Subprocess&& other) noexcept;
  ~Subprocess();  // SIGKILL and collect, when it still runs

  pid_t pid() const { return pid_; }
  const Fd& pidfd() const { return pidfd_; }  // readable when it has ended
  // The wait status; returns at once when it has ended.
  Result<int> Wait();
  void Kill();

 private:
  Subprocess() = default;
  pid_t pid_ = 0;
  Fd pidfd_;
};

// "exited with 1", "was killed by signal 9 (Killed)".
std::string DescribeWaitStatus(int status);

}  // namespace holdfast
