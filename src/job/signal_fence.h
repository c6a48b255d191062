// While it stands, every signal that can be told apart from a fault waits (blocked) instead of ending the
// process, and SIGPIPE is an error code. What was before comes back with its destruction (what waited by then
// is forgotten), and in a child that is to run someone else's program. Children that are not told otherwise
// (criu) inherit the blocked signals: a Ctrl-C at the terminal does not reach them in the middle of a freeze.
#pragma once

#include <csignal>

namespace holdfast {

class SignalFence {
 public:
  SignalFence();
  SignalFence(const SignalFence&) = delete;
  SignalFence& operator=(const SignalFence&) = delete;
  ~SignalFence();

  // What the fence holds back; read them with a signalfd. SIGCHLD is not among them: criu would inherit that.
  const sigset_t& held() const { return held_; }
  // Holds SIGCHLD back too. Before any thread is started.
  void HoldChildSignal();
  // SIGINT, SIGTERM or SIGHUP waits: the user wants out. Any thread may ask.
  static bool StopRequested();
  // In a fresh child, before exec: the mask and the dispositions that the user gave us. Async-signal-safe.
  void RestoreInChild() const;

 private:
  sigset_t held_{};
  sigset_t mask_before_{};
  struct sigaction pipe_before_ {};
  struct sigaction child_before_ {};
};

}  // namespace holdfast
