#include "job/run_job.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/clock.h"
#include "job/file_trees.h"
#include "job/filling.h"
#include "job/job_name.h"
#include "job/job_notes.h"
#include "job/job_streams.h"
#include "job/launch.h"
#include "job/stop_request.h"
#include "job/supervisor.h"
#include "linux/kill_tree.h"

namespace holdfast {

namespace {

struct Claim {
  std::string name;
  StoreLock lock;
};

// A name whose job could still go on is taken; one whose job ended by itself may be used again, and its
// lineage goes on.
Result<void> RefuseIfTaken(const Store& store, const JobBook& book, const std::string& name) {
  const Result<SnapshotId> newest = store.Resolve({.lineage = name, .version = 0});
  JobState state = JobState::kLost;
  if (book.Has(name)) {
    const JobRecord record = TRY(book.Load(name));
    state = book.StateOf(record);
    if (state == JobState::kRunning || state == JobState::kUnsupervised) {
      return Fail(ErrorKind::kExists,
                  "'" + name + "' is running (pid " + std::to_string(record.job.pid) + ")")
          .WithHint("choose another --name, or look at it: holdfast logs -f " + name);
    }
  }
  if (state == JobState::kExited || !newest) return {};
  return Fail(ErrorKind::kExists, "'" + name + "' does not run, but could go on from " + newest->ToString())
      .WithHint("'holdfast resume " + name + "' goes on with it, 'holdfast rm " + name + "' forgets it");
}

Result<Claim> ClaimGivenName(Store& store, const JobBook& book, const std::string& name) {
  TRY(ValidateLineageName(name));
  StoreLock lock = TRY(store.Lock(JobLockName(name)));
  TRY(RefuseIfTaken(store, book, name));
  return Claim{.name = name, .lock = std::move(lock)};
}

Result<Claim> ClaimFreeName(Store& store, const JobBook& book, const std::vector<std::string>& command) {
  const std::vector<std::string> lineages = TRY(store.Lineages());
  std::vector<std::string> busy;
  auto taken = [&](const std::string& name) {
    return book.Has(name) || std::count(lineages.begin(), lineages.end(), name) > 0 ||
           std::count(busy.begin(), busy.end(), name) > 0;
  };
  for (;;) {
    const std::string name = TRY(FreeNameForCommand(command, taken));
    Result<StoreLock> lock = store.Lock(JobLockName(name));
    if (!lock && lock.error().kind != ErrorKind::kBusy) return lock.error();
    // Somebody else may have taken it between our look and our lock.
    if (lock && !book.Has(name)) return Claim{.name = name, .lock = std::move(*lock)};
    busy.push_back(name);
  }
}

JobRecord NewRecord(const RunOptions& options, const std::string& name, bool merged_output) {
  JobRecord record;
  record.name = name;
  record.command = options.command;
  std::error_code ignored;
  record.working_directory = std::filesystem::current_path(ignored);
  record.began_ms = WallClockMs();
  record.started_ms = record.began_ms;
  record.triggers = options.triggers;
  record.keep = options.keep;
  record.terminal = options.terminal;
  record.merged_output = merged_output;
  return record;
}

// The job's ends, and ours.
struct Streams {
  Fd in;
  std::optional<LogStreams> logs;
  std::optional<TerminalStreams> terminal;
};

Result<Streams> OpenStreams(const RunOptions& options, const std::filesystem::path& directory,
                            bool merged_output) {
  Streams streams;
  if (options.terminal) {
    streams.terminal = TRY(OpenTerminalStreams(directory, /*fresh=*/true));
    return streams;
  }
  std::string notice;
  streams.in = TRY(OpenJobStdin(&notice));
  if (!notice.empty()) options.notices(NoticeKind::kProblem, notice);
  streams.logs = TRY(OpenLogStreams(directory, merged_output, /*fresh=*/true));
  return streams;
}

LaunchPlan PlanLaunch(const RunOptions& options, const Streams& streams) {
  LaunchPlan plan;
  plan.command = options.command;
  if (streams.terminal) {
    plan.in = plan.out = plan.err = streams.terminal->pty.slave.get();
    plan.controlling_terminal = true;
  } else {
    plan.in = streams.in.get();
    plan.out = streams.logs->out.get();
    plan.err = streams.logs->err.get();
  }
  return plan;
}

}  // namespace

Result<int> RunJob(Store& store, const RunOptions& options) {
  if (options.command.empty()) return Fail(ErrorKind::kUsage, "there is no command to run");
  const JobBook book(store.JobsDirectory());
  const std::vector<std::string> file_trees = TRY(FindFileTrees(options.file_trees, store));
  const bool merged_output = options.terminal || SameOpenFile(STDOUT_FILENO, STDERR_FILENO);

  std::optional<Claim> claim = options.name.empty() ? TRY(ClaimFreeName(store, book, options.command))
                                                    : TRY(ClaimGivenName(store, book, options.name));
  SignalFence fence;
  TRY(BecomeSubreaper());
  JobRecord record = NewRecord(options, claim->name, merged_output);
  record.file_trees = file_trees;
  record.supervisor = TRY(IdentifyProcess(::getpid()));
  const std::filesystem::path directory = book.DirectoryOf(record.name);
  const std::optional<JobRecord> earlier =
      book.Has(record.name) ? std::optional(TRY(book.Load(record.name))) : std::nullopt;
  TRY(book.Save(record));
  RemoveStopRequest(directory);
  RemoveFillRecord(directory);  // of the job that had the name before
  // Whatever fails from here on, a job that never ran leaves no record.
  auto forget = [&](const Error& error) {
    static_cast<void>(earlier ? book.Save(*earlier) : book.Remove(record.name));
    return error;
  };
  if (options.background) TRY(MoveToBackground(directory));

  if (Result<void> cleared = ClearNotes(directory); !cleared) return forget(cleared.error());
  ::setenv(kNoteVariable, NoteFile(directory).c_str(), 1);
  Result<Streams> streams = OpenStreams(options, directory, merged_output);
  if (!streams) return forget(streams.error());
  Result<Launch> launch = Launch::Prepare(PlanLaunch(options, *streams), fence);
  if (!launch) return forget(launch.error());
  Result<ProcessIdentity> job = IdentifyProcess(launch->pid());
  if (!job) return forget(job.error());
  record.job = *job;
  if (Result<void> saved = book.Save(record); !saved) return forget(saved.error());
  if (Result<void> running = launch->Go(); !running) return forget(running.error());
  claim.reset();
  streams->in.Reset();
  if (!options.terminal || options.background) LetGoOfStdin();

  fence.HoldChildSignal();
  const auto logs = streams->logs ? streams->logs->files : std::vector<LogFile>();
  Result<std::unique_ptr<JobOutput>> output =
      options.terminal ? ShowTerminal(std::move(*streams->terminal), directory, options.background)
                       : ShowLogs(logs, std::vector<uint64_t>(logs.size(), 0), options.background);
  if (!output) {
    KillTree(record.job.pid);
    return forget(output.error());
  }
  streams = Streams{};
  options.on_started({.name = record.name, .pid = record.job.pid, .supervisor_pid = record.supervisor.pid});
  const pid_t child_pid = record.job.pid;
  Result<TrackingShelf> shelf = TrackingShelf::Open(directory);
  return SuperviseToTheEnd({.store = store,
                            .book = book,
                            .fence = fence,
                            .notices = options.notices,
                            .child_pid = child_pid,
                            .shelf = shelf ? &*shelf : nullptr},
                           std::move(record), **output);
}

}  // namespace holdfast
