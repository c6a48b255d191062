// Whatever becomes of our own code, runc gets the verb: while a LastResort is there, a crash (a bad access,
// an abort, a full disk's SIGXFSZ) and a second without an end both lead to an exec of the real runtime. Its
// argument list is made beforehand, and the handler does nothing but calls that are safe in one.
#pragma once

#include <signal.h>
#include <time.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

// Requires: one at a time; one thread.
class LastResort {
 public:
  // `argv` of this process, and the program that gets it, as in BecomeRuntime.
  LastResort(std::string program, char* const* argv, int milliseconds);
  // Signals, their handlers and the timer are again as they were found: what execs next inherits nothing of
  // it.
  ~LastResort();
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;

 private:
  static constexpr std::array<int, 9> kSignals = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE, SIGABRT,
                                                  SIGSYS,  SIGTRAP, SIGXFSZ, SIGALRM};
  static void Handle(int signal);
  void PutBack();

  static LastResort* current_;
  std::string program_;
  std::vector<char*> arguments_;
  std::unique_ptr<char[]> stack_;
  std::array<struct sigaction, kSignals.size()> actions_{};
  stack_t old_stack_{};
  sigset_t old_mask_{};
  timer_t timer_{};
  bool timed_ = false;
};

}  // namespace holdfast
