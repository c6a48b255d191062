#include "job/resume_job.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "job/checkpoint_target.h"
#include "job/file_trees.h"
#include "job/filling.h"
#include "job/job_book.h"
#include "job/job_notes.h"
#include "job/job_streams.h"
#include "job/stop_request.h"
#include "job/stream_relay.h"
#include "job/supervisor.h"
#include "job/tracking_shelf.h"
#include "linux/kill_tree.h"

namespace holdfast {

namespace {

Result<void> RefuseIfAlive(const JobBook& book, const JobRecord& record) {
  const JobState state = book.StateOf(record);
  if (state != JobState::kRunning && state != JobState::kUnsupervised) return {};
  return Fail(ErrorKind::kExists,
              "'" + record.name + "' still runs (pid " + std::to_string(record.job.pid) + ")")
      .WithHint("stop it first: 'holdfast checkpoint " + record.name + " --stop' loses nothing, 'kill -9 " +
                std::to_string(record.job.pid) + "' loses what came after the snapshot");
}

// What fd `fd` of the job's first process leads to, empty when it has none.
std::string TargetOfRoot(const Manifest& manifest, int fd) {
  for (const ProcessInfo& process : manifest.processes) {
    if (process.pid != manifest.root_pid) continue;
    for (const ProcessInfo::OpenFile& file : process.files) {
      if (file.fd == fd) return file.target;
    }
  }
  return {};
}

// A store may hold snapshots of jobs that this machine never saw.
JobRecord RecordFromManifest(const Manifest& manifest) {
  JobRecord record = RecordOfSnapshot(manifest);
  record.merged_output = true;
  record.private_files = HasPrivateFiles(manifest);
  record.private_network = HasPrivateNetwork(manifest);
  return record;
}

Result<JobRecord> RecordFor(const JobBook& book, const Manifest& manifest) {
  Result<JobRecord> record = book.Load(manifest.id.lineage);
  if (!record && record.error().kind == ErrorKind::kNotFound) record = RecordFromManifest(manifest);
  if (!record) return record;
  TRY(RefuseIfAlive(book, *record));
  // A job that Holdfast did not start has pipes that lead outside: one log, or one for each.
  if (record->supervisor.pid == 0) {
    record->merged_output = TargetOfRoot(manifest, 1) == TargetOfRoot(manifest, 2);
  }
  return record;
}

// Before any of them is put below the job's directory, and also if the restart fails: what is there then is
// never to be taken for single files.
Result<void> RememberPrivateTrees(const JobBook& book, const Manifest& manifest, JobRecord& record) {
  if (!record.private_files || !AddPrivateTrees(record, manifest.trees)) return {};
  return book.Save(record);
}

// The ends outside the job, and what takes their places.
struct Replacements {
  std::optional<RelayedStreams> relayed;  // of a container
  Fd in;
  std::optional<LogStreams> logs;
  std::optional<TerminalStreams> terminal;
  std::map<std::string, int> inherit_fds;
};

Result<Replacements> OpenReplacements(const std::filesystem::path& directory, const JobRecord& record,
                                      const Manifest& manifest, const Notices& notices) {
  using Kind = ExternalResource::Kind;
  const std::vector<ExternalResource> resources = ExternalResources(manifest);
  const bool terminal =
      record.terminal || std::any_of(resources.begin(), resources.end(),
                                     [](const auto& resource) { return resource.kind == Kind::kTerminal; });
  Replacements replacements;
  if (terminal) {
    replacements.terminal = TRY(OpenTerminalStreams(directory, /*fresh=*/false));
  } else {
    replacements.logs = TRY(OpenLogStreams(directory, record.merged_output, /*fresh=*/false));
  }
  const std::string input = TargetOfRoot(manifest, STDIN_FILENO);
  const std::string errors = TargetOfRoot(manifest, STDERR_FILENO);
  for (const ExternalResource& resource : resources) {
    int fd = -1;  // /dev/null
    if (resource.kind == Kind::kTerminal) {
      fd = replacements.terminal->pty.slave.get();
    } else if (resource.kind == Kind::kPipeReadEnd && resource.name == input) {
      std::string notice;
      replacements.in = TRY(OpenJobStdin(&notice));
      if (!notice.empty()) notices(NoticeKind::kProblem, notice);
      fd = replacements.in.get();
    } else if (resource.kind == Kind::kPipeWriteEnd && terminal) {
      fd = replacements.terminal->log.get();
    } else if (resource.kind == Kind::kPipeWriteEnd) {
      fd = resource.name == errors ? replacements.logs->err.get() : replacements.logs->out.get();
    }
    if (fd >= 0) replacements.inherit_fds.emplace(resource.name, fd);
  }
  return replacements;
}

// Where a log stands when the job begins to run: put back to its size at the snapshot, or as it is.
// `own_files`: see RestoreOptions::private_files.
uint64_t OffsetOf(const LogFile& log, const Manifest& manifest, const std::string& own_files) {
  std::error_code error;
  for (const FileState& file : manifest.files) {
    if (std::filesystem::equivalent(own_files + file.path, log.path, error)) return file.bytes;
  }
  const uintmax_t bytes = std::filesystem::file_size(log.path, error);
  return error ? 0 : static_cast<uint64_t>(bytes);
}

// RestoreOptions::private_files; empty for a job that has none.
Result<std::string> PrivateFilesOf(const JobBook& book, const JobRecord& record) {
  if (!record.private_files) return std::string();
  const std::filesystem::path directory = book.PrivateFilesOf(record.name);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FailErrno(error.value(), "cannot make " + directory.string());
  return directory.string();
}

Result<Replacements> OpenContainerStreams(const std::filesystem::path& directory, bool merged_output) {
  Replacements replacements;
  replacements.logs = TRY(OpenLogStreams(directory, merged_output, /*fresh=*/false));
  replacements.relayed = TRY(RelayStreams(*replacements.logs, merged_output));
  return replacements;
}

Result<NewContainer> PlanContainer(const ContainerToMake& wanted) {
  NewContainer container;
  TRY(ValidateContainerId(wanted.id));
  container.id = wanted.id;
  container.runtime = TRY(FindRunc());
  container.root = wanted.root.empty() ? kDefaultRuncRoot : wanted.root;
  container.bundle = TRY(ReadBundle(wanted.bundle));
  container.close_connections = wanted.close_connections;
  return container;
}

Error ExplainRestore(Error error, const ResumeOptions& options) {
  if (error.kind != ErrorKind::kExists || options.pid_mode == PidMode::kNewNamespace) return error;
  if (error.hint.find("new-ns") != std::string::npos) return error;
  error.hint += std::string(error.hint.empty() ? "" : "; ") +
                "--pid-mode new-ns gives the job a pid namespace of its own, where no pid is taken";
  return error;
}

StartedJob Describe(const JobRecord& record, const Manifest& manifest, RestoreReport report) {
  StartedJob started;
  started.name = record.name;
  started.pid = record.job.pid;
  started.supervisor_pid = record.supervisor.pid;
  started.snapshot = manifest.id.ToString();
  started.private_network = record.private_network;
  started.restart_ms = report.restart_ms;
  started.bytes_restored = report.bytes_restored;
  started.bytes_to_come = report.bytes_to_come;
  started.files_put_back = std::move(report.files_put_back);
  return started;
}

}  // namespace

Result<int> ResumeJob(Store& store, const ResumeOptions& options) {
  const JobBook book(store.JobsDirectory());
  // Before root is asked for: a name that is wrong is the better error.
  TRY(store.Resolve(options.snapshot));
  TRY(RequireRoot("a restart"));
  RestoreOptions restore;
  if (options.container) restore.container = TRY(PlanContainer(*options.container));
  std::optional<StoreLock> lock = TRY(WaitForJobLock(store, options.snapshot.lineage, options.progress));
  const Manifest manifest = TRY(store.Load(TRY(store.Resolve(options.snapshot))));
  TRY(RefuseOtherKind(manifest, restore));
  JobRecord record = TRY(RecordFor(book, manifest));
  TRY(RememberPrivateTrees(book, manifest, record));

  SignalFence fence;
  TRY(BecomeSubreaper());
  record.resumed_from = manifest.id.ToString();
  record.began_ms = BeganMs(manifest);
  if (restore.container) record.container = {restore.container->id, restore.container->root};
  record.triggers = Apply(options.triggers, record.triggers);
  record.keep = options.keep.value_or(record.keep);
  if (options.file_trees) {
    record.file_trees = TRY(options.container ? FindContainerTrees(*options.file_trees, 0)
                                              : FindFileTrees(*options.file_trees, store));
    TRY(RefuseToDropPrivateTrees(record, record.file_trees));
  }
  const std::filesystem::path directory = book.DirectoryOf(record.name);
  if (!book.Has(record.name)) TRY(book.Save(record));
  RemoveStopRequest(directory);
  TRY(ClearNotes(directory));  // what it said after the snapshot is not true any more
  if (options.background) TRY(MoveToBackground(directory));
  Replacements replacements = restore.container
                                  ? TRY(OpenContainerStreams(directory, record.merged_output))
                                  : TRY(OpenReplacements(directory, record, manifest, options.notices));
  if (restore.container) {
    const RelayedStreams& streams = *replacements.relayed;
    restore.container->streams = {streams.in.get(), streams.out.get(), streams.err.get()};
  }
  record.terminal = replacements.terminal.has_value();
  const std::string own_files = TRY(PrivateFilesOf(book, record));
  std::vector<LogFile> logs;
  std::vector<uint64_t> offsets;
  if (replacements.logs) logs = replacements.logs->files;
  for (const LogFile& log : logs) offsets.push_back(OffsetOf(log, manifest, own_files));

  restore.pid_mode = record.private_files ? PidMode::kNewNamespace : options.pid_mode;
  restore.private_files = own_files;
  restore.private_trees = record.private_trees;
  restore.jobs_directory = store.JobsDirectory();
  restore.job_directory = directory;
  restore.private_network = record.private_network;
  restore.inherit_fds = replacements.inherit_fds;
  restore.keep_files = options.keep_files;
  restore.memory = options.memory;
  restore.fill_record = FillRecordOf(directory);
  restore.first_touches = directory / "first-touched";
  // Open before the job runs: what tracks it is left there while its supervisor is still getting ready.
  Result<TrackingShelf> shelf = TrackingShelf::Open(directory);
  restore.keep_tracking = [directory](KeptTracking tracking) { PutOnShelf(directory, std::move(tracking)); };
  restore.progress = options.progress;
  restore.before_it_runs = [&](pid_t root_pid) -> Result<void> {
    record.job = TRY(IdentifyProcess(root_pid));
    record.supervisor = TRY(IdentifyProcess(::getpid()));
    record.started_ms = WallClockMs();
    record.ending.reset();
    TRY(store.MakePresent(manifest.id));
    return book.Save(record);
  };
  Result<RestoreReport> report = Restore(store, manifest, restore);
  if (!report) return ExplainRestore(report.error(), options);
  lock.reset();
  if (!record.terminal || options.background) LetGoOfStdin();
  fence.HoldChildSignal();
  Result<std::unique_ptr<JobOutput>> output =
      record.terminal ? ShowTerminal(std::move(*replacements.terminal), directory, options.background)
                      : ShowLogs(logs, offsets, options.background);
  if (!output) {
    KillTree(report->root_pid);
    return output.error();
  }
  if (replacements.relayed) {
    output = AfterRelays(*std::move(output), std::move(replacements.relayed->relays));
  }
  replacements = Replacements{};
  const pid_t child_pid = report->child_pid;
  options.on_started(Describe(record, manifest, std::move(*report)));
  return SuperviseToTheEnd({.store = store,
                            .book = book,
                            .fence = fence,
                            .notices = options.notices,
                            .child_pid = child_pid,
                            .shelf = shelf ? &*shelf : nullptr},
                           std::move(record), **output);
}

}  // namespace holdfast
