#include "job/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace holdfast {

std::optional<WindowSize> ReadWindowSize(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) return std::nullopt;
  return WindowSize{.rows = size.ws_row, .columns = size.ws_col};
}

void SetWindowSize(int fd, WindowSize size) {
  winsize kernel{};
  kernel.ws_row = size.rows;
  kernel.ws_col = size.columns;
  ::ioctl(fd, TIOCSWINSZ, &kernel);
}

Result<Pty> OpenPty(WindowSize size) {
  Pty pty;
  pty.master = Fd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (!pty.master.valid()) return FailErrno("cannot open a terminal (/dev/ptmx)");
  std::array<char, 64> name{};
  if (::grantpt(pty.master.get()) != 0 || ::unlockpt(pty.master.get()) != 0 ||
      ::ptsname_r(pty.master.get(), name.data(), name.size()) != 0) {
    return FailErrno("cannot set up a terminal");
  }
  pty.slave = Fd(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!pty.slave.valid()) return FailErrno(std::string("cannot open ") + name.data());
  SetWindowSize(pty.slave.get(), size);
  return pty;
}

RawTerminal::RawTerminal(int fd) : fd_(fd) {
  if (::tcgetattr(fd_, &before_) != 0 || ::tcgetpgrp(fd_) != ::getpgrp()) return;
  termios raw = before_;
  ::cfmakeraw(&raw);
  active_ = ::tcsetattr(fd_, TCSADRAIN, &raw) == 0;
}

RawTerminal::~RawTerminal() {
  if (active_) ::tcsetattr(fd_, TCSADRAIN, &before_);
}

}  // namespace holdfast
