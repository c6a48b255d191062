// `holdfast checkpoint` as a child process of a supervisor.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "job/signal_fence.h"

namespace holdfast {

class CheckpointProcess {
 public:
  // In a process group of its own (a Ctrl-C is for the job) and the first to go when memory runs out.
  static Result<CheckpointProcess> Start(const std::vector<std::string>& command, const SignalFence& fence);

  pid_t pid() const { return pid_; }
  int output() const { return output_.get(); }
  // Call when output() is readable.
  void ReadOutput();
  // Call once the process has been reaped. The line to show: what was saved, or why nothing was.
  struct Outcome {
    bool ok = false;
    std::string line;
    // When it is ok, as its report has them.
    double freeze_s = 0;
    double drain_s = 0;
    double total_s = 0;   // until the commit began
    double waited_s = 0;  // before all of that
  };
  Outcome Finish(int wait_status);
  // Asks it to undo what it did and go.
  void Abort() const;

 private:
  pid_t pid_ = 0;
  Fd output_;
  std::string text_;
};

}  // namespace holdfast
