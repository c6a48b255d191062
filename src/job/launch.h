// Starting a job: a direct child in a session of its own. The child waits until it is told to go, so that the
// job's record can be written before the job does anything, and an exec that fails is an error of the caller,
// not a job that exits with 127.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "job/signal_fence.h"

namespace holdfast {

struct LaunchPlan {
  std::vector<std::string> command;  // looked up in PATH
  int in = 0;                        // become the job's 0, 1 and 2
  int out = 1;
  int err = 2;
  bool controlling_terminal = false;  // `in` is a terminal, to be the session's own
};

class Launch {
 public:
  // Requires: a single thread, or children that touch no locks.
  static Result<Launch> Prepare(const LaunchPlan& plan, const SignalFence& fence);
  Launch(Launch&& other) noexcept;
  Launch& operator=(Launch&&) = delete;
  ~Launch();  // a child that was never told to go is killed and reaped

  pid_t pid() const { return pid_; }
  // Returns once the command runs. kNotFound, kPermission, kUnsupported, ...: it could not be executed.
  Result<void> Go();

 private:
  Launch() = default;
  pid_t pid_ = 0;
  std::string program_;
  Fd go_;
  Fd error_;
};

}  // namespace holdfast
