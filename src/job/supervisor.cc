#include "job/supervisor.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>

#include "base/fd.h"
#include "job/checkpoint_process.h"
#include "job/filling.h"
#include "job/tracking_shelf.h"
#include "linux/kill_tree.h"

namespace holdfast {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kSignalStatusBase = 128;     // as a shell tells of signals
constexpr int kFromKernel = 0x80;          // SI_KERNEL: a terminal's Ctrl-C, or its end
constexpr int kGlanceMilliseconds = 1000;  // children are looked at this often even when nothing was heard

int StatusForShell(int wait_status) {
  return WIFSIGNALED(wait_status) ? kSignalStatusBase + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

class Supervision {
 public:
  Supervision(const SupervisorOptions& options, const SignalFence& fence, JobOutput& output)
      : options_(options), fence_(fence), output_(output) {}

  Result<JobEnd> Run() {
    signals_ = Fd(::signalfd(-1, &fence_.held(), SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_.valid()) return FailErrno("cannot receive signals");
    // Without it, every checkpoint looks at all memory; so it is not worth an error.
    if (Result<TrackingShelf> shelf = TrackingShelf::Open(options_.job_directory))
      shelf_.emplace(*std::move(shelf));
    if (options_.every_s > 0) due_ = Clock::now() + Interval();
    TRY(ReapChildren());
    // A checkpoint that is under way may finish: it has all it needs from the job.
    while (!job_status_ || checkpoint_) {
      Wait();
      ReadSignals();
      TRY(ReapChildren());
      WatchFilling();
      StartWhatIsDue();
    }
    output_.Finish();
    return End();
  }

 private:
  Clock::duration Interval() const {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.every_s));
  }

  void Wait() {
    std::array<pollfd, 3> wait{
        {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
         {.fd = checkpoint_ ? checkpoint_->output() : -1, .events = POLLIN, .revents = 0},
         {.fd = shelf_ ? shelf_->fd() : -1, .events = POLLIN, .revents = 0}}};
    auto milliseconds = std::chrono::milliseconds(kGlanceMilliseconds);
    if (due_ && !checkpoint_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*due_ - Clock::now());
      milliseconds = std::clamp(left, std::chrono::milliseconds(0), milliseconds);
    }
    ::poll(wait.data(), wait.size(), static_cast<int>(milliseconds.count()));
    if (checkpoint_ && wait[1].revents != 0) checkpoint_->ReadOutput();
    if (shelf_ && wait[2].revents != 0) shelf_->Serve();
  }

  void ReadSignals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGTERM) {
        StopJob();
      } else if (number == SIGTSTP) {
        StandStill();
      } else if (number != SIGCHLD) {
        if (number == SIGWINCH) output_.WindowChanged();
        PassOn(number, info.ssi_code == kFromKernel);
      }
    }
  }

  void PassOn(int number, bool from_terminal) const {
    if (job_status_) return;
    ::kill(from_terminal ? -options_.job_pid : options_.job_pid, number);
  }

  // Ctrl-Z: the job is in another session, where a SIGTSTP would do nothing.
  void StandStill() const {
    if (job_status_) return;
    ::kill(-options_.job_pid, SIGSTOP);
    ::raise(SIGSTOP);
    ::kill(-options_.job_pid, SIGCONT);
  }

  void StopJob() {
    if (job_status_) return;
    if (stop_wanted_) {
      if (checkpoint_) checkpoint_->Abort();
      options_.notices(NoticeKind::kNews,
                       "second SIGTERM: killing '" + options_.job_name + "' without a snapshot");
      due_.reset();
      last_failed_ = true;
      KillTree(options_.job_pid);
      return;
    }
    stop_wanted_ = true;
    options_.notices(NoticeKind::kNews, "SIGTERM: taking a last snapshot of '" + options_.job_name +
                                            "', then stopping it (again: kill it at once)");
  }

  Result<void> ReapChildren() {
    for (;;) {
      int status = 0;
      const pid_t pid = ::waitpid(-1, &status, WNOHANG);
      if (pid < 0 && errno == EINTR) continue;
      if (pid < 0 && !job_status_) {
        return Fail(ErrorKind::kInternal, "the job is not our child any more");
      }
      if (pid <= 0) return {};
      if (pid == options_.child_pid) job_status_ = status;
      if (checkpoint_ && pid == checkpoint_->pid()) CheckpointEnded(status);
    }
  }

  // A child that has ended may have been a page server: what was missing then is zeros by now.
  void WatchFilling() {
    if (is_filled_) return;
    const FillProgress filling = ReadFillProgress(FillRecordOf(options_.job_directory));
    is_filled_ = filling.stage != FillStage::kFilling;
    if (filling.stage != FillStage::kLost) return;
    if (!job_status_) KillTree(options_.job_pid);
    options_.notices(NoticeKind::kProblem, "killed '" + options_.job_name +
                                               "': not all of its memory could be brought back (" +
                                               filling.reason + "); 'holdfast resume " + options_.job_name +
                                               "' starts it again from its snapshot");
  }

  void StartWhatIsDue() {
    if (checkpoint_ || job_status_ || last_failed_) return;
    if (!stop_wanted_ && (!due_ || Clock::now() < *due_)) return;
    std::vector<std::string> command = options_.checkpoint_command;
    if (stop_wanted_) command.emplace_back("--stop");
    checkpoint_started_ = Clock::now();
    checkpoint_is_last_ = stop_wanted_;
    Result<CheckpointProcess> process = CheckpointProcess::Start(command, fence_);
    if (process) {
      checkpoint_.emplace(std::move(*process));
    } else {
      Failed("checkpoint failed: " + process.error().message);
    }
  }

  void CheckpointEnded(int status) {
    const CheckpointProcess::Outcome outcome = checkpoint_->Finish(status);
    checkpoint_.reset();
    if (!outcome.ok) {
      Failed(outcome.line);
      return;
    }
    last_error_.clear();
    options_.notices(NoticeKind::kNews, outcome.line);
    ScheduleNext();
  }

  // The same failure, time after time, is told once.
  void Failed(const std::string& line) {
    ScheduleNext();
    const bool job_is_gone = job_status_.has_value();
    if (line != last_error_ && !job_is_gone) options_.notices(NoticeKind::kProblem, line);
    last_error_ = line;
    if (!checkpoint_is_last_ || last_failed_ || job_is_gone) return;
    last_failed_ = true;
    due_.reset();
    options_.notices(NoticeKind::kProblem,
                     "no last snapshot: passing the SIGTERM on to '" + options_.job_name + "'");
    ::kill(options_.job_pid, SIGTERM);
  }

  // Every interval, counted from start to start; but the job always gets some time without a checkpoint.
  void ScheduleNext() {
    if (!due_) return;
    const Clock::time_point now = Clock::now();
    due_ = checkpoint_started_ + Interval();
    if (*due_ < now) due_ = now + Interval();
  }

  JobEnd End() const {
    JobEnd end{.exit_status = StatusForShell(*job_status_), .snapshot = {}};
    // The init of a pid namespace tells by its exit status.
    const bool killed = end.exit_status == kSignalStatusBase + SIGKILL;
    if (killed) end.snapshot = options_.stopped_after();
    return end;
  }

  const SupervisorOptions& options_;
  const SignalFence& fence_;
  JobOutput& output_;
  Fd signals_;
  std::optional<TrackingShelf> shelf_;
  std::optional<int> job_status_;  // as waitpid gave it
  bool is_filled_ = false;         // nothing of its memory is still to come
  std::optional<CheckpointProcess> checkpoint_;
  Clock::time_point checkpoint_started_;
  bool checkpoint_is_last_ = false;
  std::optional<Clock::time_point> due_;
  bool stop_wanted_ = false;
  bool last_failed_ = false;
  std::string last_error_;
};

}  // namespace

Result<void> BecomeSubreaper() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return FailErrno("cannot become a subreaper");
  return {};
}

Result<JobEnd> Supervise(const SupervisorOptions& options, const SignalFence& fence, JobOutput& output) {
  return Supervision(options, fence, output).Run();
}

}  // namespace holdfast
