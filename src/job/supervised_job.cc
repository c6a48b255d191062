#include "job/supervised_job.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "job/log_files.h"
#include "job/stop_request.h"
#include "job/supervisor.h"

namespace holdfast {

namespace {

// Why a job was killed: see stop_request.h.
std::string StoppedAfter(const Store& store, const JobBook& book, const std::string& name) {
  const std::optional<StopRequest> request = ReadStopRequest(book.DirectoryOf(name));
  if (!request) return {};
  if (!request->snapshot.empty()) return request->snapshot;
  const Result<SnapshotId> newest = store.Resolve({.lineage = name, .version = 0});
  return newest && newest->version > request->newest_before ? newest->ToString() : std::string();
}

// Deltas and full ones, as they are: both tell how quickly the store takes what it is given.
DurationPredictor EarlierCheckpoints(const Store& store, const std::string& name) {
  DurationPredictor predictor;
  const Result<std::vector<SnapshotSummary>> snapshots = store.Snapshots(name);
  if (!snapshots) return predictor;
  for (const SnapshotSummary& snapshot : *snapshots) {
    const CheckpointFigures& figures = snapshot.figures;
    if (snapshot.damage.empty()) predictor.Add(figures.bytes_captured, figures.total_ms / 1000);
  }
  return predictor;
}

// Into the record as it is now: a checkpoint may have changed it since the job was started.
Result<void> WriteDownEnding(const JobBook& book, JobRecord started, JobEnding ending) {
  Result<JobRecord> now = book.Load(started.name);
  if (now && now->job != started.job) return {};  // the name stands for another job
  JobRecord record = now ? std::move(*now) : std::move(started);
  record.ending = std::move(ending);
  return book.Save(record);
}

}  // namespace

std::string JobLockName(const std::string& name) {
  return "job-" + name;
}

Result<StoreLock> WaitForJobLock(Store& store, const std::string& name, const Progress* progress) {
  static constexpr double kStepSeconds = 0.25;
  static constexpr double kWaitMillisecondsMax = 60'000;
  const Stopwatch waited;
  for (;;) {
    Result<StoreLock> lock = store.Lock(JobLockName(name), kStepSeconds);
    if (lock || lock.error().kind != ErrorKind::kBusy || waited.ElapsedMs() > kWaitMillisecondsMax)
      return lock;
    if (progress != nullptr && progress->Cancelled()) {
      return Fail(ErrorKind::kInterrupted, "interrupted while waiting: " + lock.error().message);
    }
  }
}

Result<int> SuperviseToTheEnd(const SupervisionContext& context, JobRecord record, JobOutput& output) {
  SupervisorOptions options;
  options.job_name = record.name;
  options.job_pid = record.job.pid;
  options.child_pid = context.child_pid;
  options.shelf = context.shelf;
  options.triggers = record.triggers;
  options.earlier_checkpoints = [&] { return EarlierCheckpoints(context.store, record.name); };
  options.checkpoint_command = {"/proc/self/exe", "--store",   context.store.directory().string(),
                                "checkpoint",     record.name, "--json",
                                "--quiet"};
  options.stopped_after = [&] { return StoppedAfter(context.store, context.book, record.name); };
  options.notices = context.notices;
  options.job_directory = context.book.DirectoryOf(record.name);
  const JobEnd end = TRY(Supervise(options, context.fence, output));

  const bool checkpointed = !end.snapshot.empty();
  const JobEnding ending{.kind = checkpointed ? JobEnding::Kind::kCheckpointed : JobEnding::Kind::kExited,
                         .exit_status = checkpointed ? 0 : end.exit_status,
                         .snapshot = end.snapshot,
                         .at_ms = WallClockMs()};
  if (const Result<void> saved = WriteDownEnding(context.book, record, ending); !saved) {
    context.notices(NoticeKind::kProblem,
                    "cannot write down how '" + record.name + "' ended: " + saved.error().message);
  }
  if (checkpointed) {
    context.notices(NoticeKind::kNews,
                    "stopped after " + end.snapshot + "; 'holdfast resume " + record.name + "' goes on");
    return kExitCheckpointed;
  }
  return end.exit_status;
}

Result<void> MoveToBackground(const std::filesystem::path& job_directory) {
  const Fd log = TRY(OpenLog(job_directory / "supervisor.log", /*fresh=*/false));
  if (::dup2(log.get(), STDOUT_FILENO) < 0 || ::dup2(log.get(), STDERR_FILENO) < 0) {
    return FailErrno("cannot move to the background");
  }
  return {};
}

void LetGoOfStdin() {
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (null.valid()) ::dup2(null.get(), STDIN_FILENO);
}

}  // namespace holdfast
