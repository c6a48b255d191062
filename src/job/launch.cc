#include "job/launch.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace holdfast {

namespace {

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// Moves a descriptor out of the way of 0, 1 and 2, which are about to be replaced.
int Above2(int fd) {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

// In the child: only async-signal-safe calls. Returns errno.
int BecomeJob(const LaunchPlan& plan, const SignalFence& fence, char* const* arguments) {
  if (::setsid() < 0) return errno;
  const int in = Above2(plan.in);
  const int out = Above2(plan.out);
  const int err = Above2(plan.err);
  if (in < 0 || out < 0 || err < 0) return errno;
  if (::dup2(in, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(err, 2) < 0) return errno;
  if (plan.controlling_terminal && ::ioctl(0, TIOCSCTTY, 0) != 0) return errno;
  fence.RestoreInChild();
  ::execvp(arguments[0], arguments);
  return errno;
}

Error ExecError(int error_number, const std::string& program) {
  const bool path = program.find('/') != std::string::npos;
  Error error = FailErrno(error_number, "cannot run '" + program + "'");
  if (error_number == ENOENT) {
    if (path && ::access(program.c_str(), F_OK) == 0) {
      error.message = "cannot run '" + program + "': the interpreter or the loader that it names is missing";
      error.hint = "look at its first line, or at 'file " + program + "'";
    } else if (!path) {
      error.message = "cannot run '" + program + "': there is no such program in PATH";
      if (::access(program.c_str(), X_OK) == 0) error.hint = "there is one here: write ./" + program;
    }
  } else if (error_number == EACCES) {
    error.hint = "is it a file, and executable? (chmod +x)";
  } else if (error_number == ENOEXEC) {
    error.kind = ErrorKind::kUnsupported;
  }
  return error;
}

void WaitFor(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Launch::Launch(Launch&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      program_(std::move(other.program_)),
      go_(std::move(other.go_)),
      error_(std::move(other.error_)) {}

Launch::~Launch() {
  if (pid_ <= 0 || !go_.valid()) return;
  ::kill(pid_, SIGKILL);
  WaitFor(pid_);
}

Result<Launch> Launch::Prepare(const LaunchPlan& plan, const SignalFence& fence) {
  Pipe go = TRY(MakePipe());
  Pipe error = TRY(MakePipe());
  std::vector<char*> arguments;
  for (const std::string& argument : plan.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const pid_t pid = ::fork();
  if (pid < 0) return FailErrno("cannot start a process");
  if (pid == 0) {
    go.write.Reset();
    char word = 0;
    if (::read(go.read.get(), &word, 1) != 1) ::_exit(127);  // never told to go
    const int error_number = BecomeJob(plan, fence, arguments.data());
    const ssize_t told = ::write(error.write.get(), &error_number, sizeof error_number);
    ::_exit(told == sizeof error_number ? 127 : 126);
  }
  Launch launch;
  launch.pid_ = pid;
  launch.program_ = plan.command[0];
  launch.go_ = std::move(go.write);
  launch.error_ = std::move(error.read);
  return launch;
}

Result<void> Launch::Go() {
  const char word = 'g';
  const ssize_t told = ::write(go_.get(), &word, 1);
  int error_number = told == 1 ? 0 : errno;
  if (told == 1) {
    ssize_t bytes = 0;  // nothing: the pipe was closed by a successful exec
    do {
      bytes = ::read(error_.get(), &error_number, sizeof error_number);
    } while (bytes < 0 && errno == EINTR);
    if (bytes != sizeof error_number) error_number = 0;
  }
  go_.Reset();
  error_.Reset();
  if (error_number == 0) return {};
  WaitFor(pid_);
  return ExecError(error_number, program_);
}

}  // namespace holdfast
