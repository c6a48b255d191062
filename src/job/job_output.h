// Where a job's output goes while it is supervised: the copies of its log files, or the terminal of a --tty
// job. Both work in threads of their own, so that a reader who stands still never holds up the supervisor.
#pragma once

namespace holdfast {

class JobOutput {
 public:
  virtual ~JobOutput() = default;
  // The user's window has another size now.
  virtual void WindowChanged() = 0;
  // Requires: the job has ended. Returns when all that it wrote has been copied.
  virtual void Finish() = 0;
};

}  // namespace holdfast
