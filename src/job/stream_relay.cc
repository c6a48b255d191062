#include "job/stream_relay.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "linux/pidfd.h"

namespace holdfast {
namespace {

constexpr int kLastMilliseconds = 5000;  // for a relay to copy what is left in its pipe

// Until the pipe's writers are gone, or the log cannot be written to: then they shall not wait for us either,
// so what comes is thrown away.
[[noreturn]] void Copy(int from, int to) {
  prctl(PR_SET_NAME, "holdfast-relay");
  setsid();
  sigset_t every_signal;
  sigfillset(&every_signal);
  sigprocmask(SIG_SETMASK, &every_signal, nullptr);
  // Nothing else may be kept open: somebody may wait for its end.
  if (dup2(from, 0) != 0 || dup2(to, 1) != 1 || dup2(to, 2) != 2) _exit(1);
  syscall(SYS_close_range, 3, ~0U, 0);
  static std::array<char, 64 * 1024> buffer;
  for (;;) {
    const ssize_t got = read(0, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) _exit(0);
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = write(1, buffer.data() + done, static_cast<size_t>(got - done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) break;
      done += put;
    }
  }
}

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// The end to write to.
Result<Fd> Relay(const Fd& log, RelayedStreams& streams) {
  Pipe pipe = TRY(MakePipe());
  const pid_t pid = fork();
  if (pid < 0) return FailErrno("cannot start a relay");
  if (pid == 0) Copy(pipe.read_end.get(), log.get());
  streams.relays.push_back(TRY(OpenPidfd(pid)));
  return std::move(pipe.write_end);
}

class OutputAfterRelays : public JobOutput {
 public:
  OutputAfterRelays(std::unique_ptr<JobOutput> output, std::vector<Fd> relays)
      : output_(std::move(output)), relays_(std::move(relays)) {}
  void WindowChanged() override { output_->WindowChanged(); }
  void Finish() override {
    for (const Fd& relay : relays_) static_cast<void>(WaitForEnd(relay.get(), kLastMilliseconds));
    output_->Finish();
  }

 private:
  std::unique_ptr<JobOutput> output_;
  std::vector<Fd> relays_;
};

}  // namespace

Result<RelayedStreams> RelayStreams(const LogStreams& logs, bool merged_output) {
  RelayedStreams streams;
  streams.in = TRY(MakePipe()).read_end;
  streams.out = TRY(Relay(logs.out, streams));
  if (!merged_output) {
    streams.err = TRY(Relay(logs.err, streams));
    return streams;
  }
  streams.err = Fd(fcntl(streams.out.get(), F_DUPFD_CLOEXEC, 3));
  if (!streams.err.valid()) return FailErrno("cannot duplicate a descriptor");
  return streams;
}

std::unique_ptr<JobOutput> AfterRelays(std::unique_ptr<JobOutput> output, std::vector<Fd> relays) {
  return std::make_unique<OutputAfterRelays>(std::move(output), std::move(relays));
}

}  // namespace holdfast
