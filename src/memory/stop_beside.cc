#include "memory/stop_beside.h"

#include <sys/eventfd.h>

#include <system_error>

#include "linux/stopped_process.h"
#include "memory/thread_priority.h"

namespace holdfast {

StopBeside::StopBeside(pid_t pid, int wake) : pid_(pid) {
  try {
    thread_ = std::thread([this, wake] { Run(wake); });
  } catch (const std::system_error&) {  // a limit on processes
    state_ = State::kFailed;
  }
}

StopBeside::~StopBeside() {
  let_go_.release();
  if (thread_.joinable()) thread_.join();
}

void StopBeside::Run(int wake) {
  constexpr int kMillisecondsMax = 1000;
  Take(Place::kInFront);
  const Result<StoppedProcess> stopped = StoppedProcess::Stop(pid_, kMillisecondsMax);
  state_ = stopped ? State::kStopped : State::kFailed;
  eventfd_write(wake, 1);
  if (stopped) let_go_.acquire();
}

}  // namespace holdfast
