// Has a process stand still from a thread of its own: while one of the process's threads waits for us to read
// what it does to its memory, it cannot stop, so somebody has to go on reading meanwhile.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <semaphore>
#include <thread>

namespace holdfast {

class StopBeside {
 public:
  // `wake`: an eventfd, told when it is decided.
  StopBeside(pid_t pid, int wake);
  StopBeside(const StopBeside&) = delete;
  StopBeside& operator=(const StopBeside&) = delete;
  // Lets it go. Requires: it is decided, or somebody else goes on reading.
  ~StopBeside();

  pid_t pid() const { return pid_; }
  enum class State { kUndecided, kStopped, kFailed };
  State state() const { return state_; }

 private:
  void Run(int wake);

  const pid_t pid_;
  std::atomic<State> state_{State::kUndecided};
  std::binary_semaphore let_go_{0};
  std::thread thread_;
};

}  // namespace holdfast
