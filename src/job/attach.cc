#include "job/attach.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "job/attach_protocol.h"
#include "job/log_files.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

constexpr char kCtrlP = 0x10;
constexpr char kCtrlQ = 0x11;
constexpr auto kJobGlance = std::chrono::milliseconds(200);

bool WriteFully(int fd, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

// Finds Ctrl-P Ctrl-Q in what is typed; a Ctrl-P that nothing follows waits for its second key.
class DetachKeys {
 public:
  // Returns what is for the job. Sets `detach` when the keys were typed; what follows them is dropped.
  std::string Filter(std::string_view typed, bool& detach) {
    std::string keys;
    for (const char key : typed) {
      if (held_ && key == kCtrlQ) {
        detach = true;
        return keys;
      }
      if (held_) keys += kCtrlP;
      held_ = key == kCtrlP;
      if (!held_) keys += key;
    }
    return keys;
  }

 private:
  bool held_ = false;
};

}  // namespace

Result<AttachEnd> AttachToTerminal(const std::filesystem::path& job_directory) {
  const Fd job = TRY(ConnectToAttach(job_directory));
  SignalFence fence;
  const Fd signals(::signalfd(-1, &fence.held(), SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals.valid()) return FailErrno("cannot receive signals");
  RawTerminal raw(STDIN_FILENO);
  DetachKeys detach_keys;
  int keyboard = STDIN_FILENO;
  std::array<char, 16 * 1024> buffer{};

  auto send_window = [&] {
    const auto size = ReadWindowSize(STDOUT_FILENO);
    if (!size) return;
    const std::string frame = FormatWindow(*size);
    WriteFully(job.get(), frame.data(), frame.size());
  };
  send_window();
  for (;;) {
    std::array<pollfd, 3> wait{{{.fd = job.get(), .events = POLLIN, .revents = 0},
                                {.fd = keyboard, .events = POLLIN, .revents = 0},
                                {.fd = signals.get(), .events = POLLIN, .revents = 0}}};
    if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR)
      return FailErrno("cannot wait for the job");
    if (wait[0].revents != 0) {
      const ssize_t bytes = ::read(job.get(), buffer.data(), buffer.size());
      if (bytes <= 0) return AttachEnd::kJobEnded;
      if (!WriteFully(STDOUT_FILENO, buffer.data(), static_cast<size_t>(bytes))) return AttachEnd::kDetached;
    }
    if (wait[1].revents != 0) {
      const ssize_t bytes = ::read(keyboard, buffer.data(), buffer.size());
      if (bytes <= 0) keyboard = -1;  // go on showing
      bool detach = false;
      const std::string_view typed(buffer.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
      const std::string frames = FormatKeys(detach_keys.Filter(typed, detach));
      if (!WriteFully(job.get(), frames.data(), frames.size())) return AttachEnd::kJobEnded;
      if (detach) return AttachEnd::kDetached;
    }
    signalfd_siginfo info{};
    while (::read(signals.get(), &info, sizeof info) == sizeof info) {
      if (info.ssi_signo == SIGWINCH) send_window();
      if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGHUP) {
        return AttachEnd::kDetached;
      }
    }
  }
}

namespace {

struct LogPositions {
  std::vector<LogFile> logs;
  std::vector<uint64_t> offsets;
};

Result<LogPositions> PositionsOf(const JobBook& book, const JobRecord& record, bool from_start) {
  LogPositions positions;
  positions.logs = LogFilesOf(book.DirectoryOf(record.name), record.merged_output);
  for (const LogFile& log : positions.logs) {
    struct stat now {};
    if (::stat(log.path.c_str(), &now) != 0) {
      return FailErrno("'" + record.name + "' has no log")
          .WithHint("Holdfast keeps the output of jobs that it started or resumed");
    }
    positions.offsets.push_back(from_start ? 0 : static_cast<uint64_t>(now.st_size));
  }
  return positions;
}

}  // namespace

Result<void> ShowJobLogs(const JobBook& book, const JobRecord& record) {
  const LogPositions positions = TRY(PositionsOf(book, record, /*from_start=*/true));
  for (size_t i = 0; i < positions.logs.size(); ++i) TRY(CopyLog(positions.logs[i], positions.offsets[i]));
  return {};
}

Result<AttachEnd> FollowJobLogs(const JobBook& book, const JobRecord& record, bool from_start,
                                const std::function<bool()>& stop) {
  const LogPositions positions = TRY(PositionsOf(book, record, from_start));
  const std::unique_ptr<JobOutput> output = TRY(FollowLogs(positions.logs, positions.offsets));
  AttachEnd end = AttachEnd::kDetached;
  while (!stop()) {
    const Result<JobRecord> now = book.Load(record.name);
    const JobState state = now ? book.StateOf(*now) : JobState::kLost;  // removed
    if (state != JobState::kRunning && state != JobState::kUnsupervised) {
      end = AttachEnd::kJobEnded;
      break;
    }
    std::this_thread::sleep_for(kJobGlance);
  }
  output->Finish();
  return end;
}

}  // namespace holdfast
