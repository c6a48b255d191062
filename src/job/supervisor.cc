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
#include <thread>

#include "base/fd.h"
#include "base/units.h"
#include "job/checkpoint_process.h"
#include "job/filling.h"
#include "job/loss_meter.h"
#include "job/unsaved_watch.h"
#include "linux/kill_tree.h"
#include "linux/signal_names.h"
#include "policy/schedule.h"

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
      : options_(options),
        fence_(fence),
        output_(output),
        shelf_(options.shelf),
        schedule_(options.triggers, Clock::now()),
        unsaved_(options.job_pid),
        loss_(options.job_pid) {}

  Result<JobEnd> Run() {
    signals_ = Fd(::signalfd(-1, &fence_.held(), SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_.valid()) return FailErrno("cannot receive signals");
    TRY(ReapChildren());
    // A checkpoint that is under way may finish: it has all it needs from the job.
    while (!job_status_ || checkpoint_) {
      Wait();
      ReadSignals();
      TRY(ReapChildren());
      WatchFilling();
      StartWhatIsDue();
    }
    LearnHowFillingEnded();
    output_.Finish();
    return End();
  }

 private:
  void Wait() {
    std::array<pollfd, 3> wait{
        {{.fd = signals_.get(), .events = POLLIN, .revents = 0},
         {.fd = checkpoint_ ? checkpoint_->output() : -1, .events = POLLIN, .revents = 0},
         {.fd = shelf_ != nullptr ? shelf_->fd() : -1, .events = POLLIN, .revents = 0}}};
    auto milliseconds = std::chrono::milliseconds(kGlanceMilliseconds);
    if (due_ && !checkpoint_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(due_->at - Clock::now());
      milliseconds = std::clamp(left, std::chrono::milliseconds(0), milliseconds);
    }
    ::poll(wait.data(), wait.size(), static_cast<int>(milliseconds.count()));
    if (checkpoint_ && wait[1].revents != 0) checkpoint_->ReadOutput();
    if (shelf_ != nullptr && wait[2].revents != 0) shelf_->Serve();
  }

  void ReadSignals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      if (number == SIGTERM) {
        StopJob();
      } else if (number == SIGTSTP) {
        StandStill();
      } else if (schedule_.TakeSignal(number, Clock::now())) {
        AnswerSignal(number);
      } else if (number != SIGCHLD) {
        if (number == SIGWINCH) output_.WindowChanged();
        PassOn(number, info.ssi_code == kFromKernel);
      }
    }
  }

  void AnswerSignal(int number) {
    if (schedule_.stopping()) {
      options_.notices(NoticeKind::kNews, SignalName(number) + ": no other snapshot, '" + options_.job_name +
                                              "' is being stopped after its last one");
      return;
    }
    last_error_.clear();  // who asks is told what becomes of it
    options_.notices(NoticeKind::kNews, SignalName(number) + ": a snapshot of '" + options_.job_name + "'");
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
    if (schedule_.stopping()) {
      if (checkpoint_) checkpoint_->Abort();
      options_.notices(NoticeKind::kNews,
                       "second SIGTERM: killing '" + options_.job_name + "' without a snapshot");
      last_ended_ = true;
      KillTree(options_.job_pid);
      return;
    }
    const Clock::time_point now = Clock::now();
    const double deadline_s = options_.triggers.deadline_s;
    // The store is listed on the deadline's time.
    schedule_.Stop(now, deadline_s > 0 ? options_.earlier_checkpoints() : DurationPredictor());
    unsaved_.Forget();
    const std::string within = deadline_s > 0 ? " within " + FormatSeconds(deadline_s) : std::string();
    options_.notices(NoticeKind::kNews, "SIGTERM: taking a last snapshot of '" + options_.job_name + "'" +
                                            within + ", then stopping it (again: kill it at once)");
    if (!IsFilling()) return;
    const std::string missed = deadline_s > 0 ? "; the deadline may be missed" : "";
    options_.notices(NoticeKind::kProblem, "'" + options_.job_name +
                                               "': memory is still coming back from the restart, and a "
                                               "snapshot waits for it, nobody knows how long" +
                                               missed);
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

  bool IsFilling() const {
    return !is_filled_ && ReadFillProgress(FillRecordOf(options_.job_directory)).stage == FillStage::kFilling;
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

  // A job may have ended of what its page servers' death did to it, before those are gone altogether.
  void LearnHowFillingEnded() {
    constexpr int kLooksMax = 100;
    for (int looks = 0; looks < kLooksMax; ++looks) {
      WatchFilling();
      if (is_filled_) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  void StartWhatIsDue() {
    if (checkpoint_) return;
    due_.reset();
    if (job_status_ || last_ended_) return;
    Outlook outlook = Look();
    due_ = schedule_.Next(outlook);
    for (const std::string& remark : schedule_.TakeRemarks()) {
      options_.notices(NoticeKind::kNews, "'" + options_.job_name + "': " + remark);
    }
    if (!due_ || due_->at > outlook.now) return;
    if (!outlook.unsaved && schedule_.ReportsUnsaved()) outlook.unsaved = LookAtMemory(outlook.now);
    Start(outlook);
  }

  Outlook Look() {
    Outlook outlook{.now = Clock::now()};
    if (schedule_.LooksAtMemory()) outlook.unsaved = LookAtMemory(outlook.now);
    return outlook;
  }

  std::optional<Unsaved> LookAtMemory(Clock::time_point now) {
    if (shelf_ == nullptr) return std::nullopt;
    shelf_->Serve();  // a checkpoint that has just ended may have left something
    return unsaved_.Look(*shelf_, now);
  }

  void Start(const Outlook& outlook) {
    if (due_->trigger == "deadline" && !due_->why.empty()) {
      const char* and_first = IsFilling() ? " once the rest of the memory is back" : "";
      options_.notices(NoticeKind::kNews, due_->why + and_first);
    }
    std::vector<std::string> command = options_.checkpoint_command;
    for (std::string& argument : schedule_.Arguments(*due_)) command.push_back(std::move(argument));
    schedule_.CheckpointStarted(outlook.now);
    loss_.CheckpointStarted();
    report_ = CheckpointReport{.started = outlook.now, .last = due_->last};
    if (outlook.unsaved) report_.unsaved_bytes = outlook.unsaved->bytes();
    Result<CheckpointProcess> process = CheckpointProcess::Start(command, fence_);
    if (process) {
      checkpoint_.emplace(std::move(*process));
    } else {
      Tell({});
      Failed("checkpoint failed: " + process.error().message);
    }
  }

  void CheckpointEnded(int status) {
    const CheckpointProcess::Outcome outcome = checkpoint_->Finish(status);
    checkpoint_.reset();
    Tell(outcome);
    if (!outcome.ok) {
      Failed(outcome.line);
      return;
    }
    last_error_.clear();
    last_ended_ = last_ended_ || due_->last;
    const std::string took = FormatSeconds(report_.seconds());
    options_.notices(NoticeKind::kNews, outcome.line + " (" + due_->trigger +
                                            (due_->trigger == "deadline" ? ", took " + took : "") + ")");
  }

  // What came of the checkpoint, to those who decide about the next one.
  void Tell(const CheckpointProcess::Outcome& outcome) {
    report_.ended = Clock::now();
    report_.ok = outcome.ok;
    report_.waited_s = outcome.waited_s;
    report_.lost_s = std::min(loss_.CheckpointEnded(outcome.freeze_s), report_.seconds());
    // After the freeze comes the drain, then the commit.
    const double after_freeze_s = outcome.drain_s + std::max(0.0, report_.seconds() - outcome.total_s);
    unsaved_.CheckpointEnded(report_, Later(report_.ended, -after_freeze_s));
    schedule_.CheckpointEnded(report_);
  }

  // The same failure, time after time, is told once.
  void Failed(const std::string& line) {
    const bool job_is_gone = job_status_.has_value();
    if (line != last_error_ && !job_is_gone) options_.notices(NoticeKind::kProblem, line);
    last_error_ = line;
    if (!due_->last || last_ended_ || job_is_gone || schedule_.TriesAgain(Look())) return;
    last_ended_ = true;
    options_.notices(NoticeKind::kProblem,
                     "no last snapshot: passing the SIGTERM on to '" + options_.job_name + "'");
    ::kill(options_.job_pid, SIGTERM);
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
  TrackingShelf* const shelf_;
  std::optional<int> job_status_;  // as waitpid gave it
  bool is_filled_ = false;         // nothing of its memory is still to come
  Schedule schedule_;
  UnsavedWatch unsaved_;
  LossMeter loss_;
  std::optional<Due> due_;  // the next one, or the one that is under way
  std::optional<CheckpointProcess> checkpoint_;
  CheckpointReport report_;  // of the one that is under way
  bool last_ended_ = false;  // no more checkpoints: the job is about to end
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
