// Terminals: a pty for a job, and the user's own terminal in raw mode while a job has it.
#pragma once

#include <termios.h>

#include <optional>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

struct WindowSize {
  unsigned short rows = 24;
  unsigned short columns = 80;
};

// Of the terminal that `fd` is; none when it is not one.
std::optional<WindowSize> ReadWindowSize(int fd);
void SetWindowSize(int fd, WindowSize size);

struct Pty {
  Fd master;  // non-blocking
  Fd slave;   // kept open, so that the master stays usable when the job closes its own
};
Result<Pty> OpenPty(WindowSize size);

// Every key goes to the job, Ctrl-C too. The terminal is as before when this is gone.
class RawTerminal {
 public:
  // Nothing happens when `fd` is no terminal, or not ours to change (we run in the background).
  explicit RawTerminal(int fd);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();
  bool active() const { return active_; }

 private:
  int fd_;
  bool active_ = false;
  termios before_{};
};

}  // namespace holdfast
