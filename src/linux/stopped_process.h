// A process that stands still for a moment, held by ptrace; it does not hear of it.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/result.h"

namespace holdfast {

class StoppedProcess {
 public:
  // Stops every thread. kBusy when one does not stop within so many milliseconds (it waits for a device);
  // kNotFound when the process has ended; kPermission when somebody else traces it. Only the thread that
  // called it may use the result.
  static Result<StoppedProcess> Stop(pid_t pid, int milliseconds);
  StoppedProcess(StoppedProcess&& other) noexcept;
  StoppedProcess& operator=(StoppedProcess&&) = delete;
  ~StoppedProcess();  // lets all go

  // One of its threads, for a call to be made in it.
  pid_t thread() const { return threads_.front().id; }

 private:
  struct Thread {
    pid_t id = 0;
    bool stopped = false;
  };
  StoppedProcess() = default;
  Result<int> SeizeNew(pid_t pid);
  bool AwaitStops();
  std::vector<Thread> threads_;
};

}  // namespace holdfast
