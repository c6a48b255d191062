#include "job/checkpoint_job.h"

#include <chrono>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/limits.h"
#include "job/checkpoint_target.h"
#include "job/file_trees.h"
#include "job/filling.h"
#include "job/job_book.h"
#include "job/notes_watch.h"
#include "job/stop_request.h"
#include "job/supervised_job.h"
#include "job/tracking_shelf.h"

namespace holdfast {

namespace {

Result<JobRecord> FindTarget(const JobBook& book, const CheckpointRequest& request) {
  if (!request.container.empty()) {
    return FindContainerJob(book, TRY(FindContainer(request.container, request.runc_root)), request.name);
  }
  return request.pid != 0 ? FindTree(book, request.pid, request.name) : FindJob(book, request.name);
}

// The note that tells a supervisor why its job is about to be killed; taken back when it is not.
class AnnouncedStop {
 public:
  static Result<AnnouncedStop> Make(const Store& store, const std::filesystem::path& job_directory) {
    const Result<SnapshotId> newest = store.Resolve({.lineage = job_directory.filename(), .version = 0});
    StopRequest request{.newest_before = newest ? newest->version : 0, .snapshot = {}};
    TRY(WriteStopRequest(job_directory, request));
    return AnnouncedStop(job_directory, request);
  }
  AnnouncedStop(AnnouncedStop&& other) noexcept
      : directory_(std::exchange(other.directory_, {})), request_(std::move(other.request_)) {}
  AnnouncedStop& operator=(AnnouncedStop&&) = delete;
  ~AnnouncedStop() {
    if (!directory_.empty()) RemoveStopRequest(directory_);
  }
  Result<void> Fulfil(const std::string& snapshot) {
    request_.snapshot = snapshot;
    return WriteStopRequest(std::exchange(directory_, {}), request_);
  }

 private:
  AnnouncedStop(std::filesystem::path directory, StopRequest request)
      : directory_(std::move(directory)), request_(std::move(request)) {}
  std::filesystem::path directory_;
  StopRequest request_;
};

// A large job takes a while to be gone after it was stopped; its supervisor is going to need the note.
Result<void> RefuseIfStopped(const std::filesystem::path& job_directory, const std::string& name) {
  const std::optional<StopRequest> stop = ReadStopRequest(job_directory);
  if (!stop || stop->snapshot.empty()) return {};
  return Fail(ErrorKind::kNotFound, "'" + name + "' has just been stopped after " + stop->snapshot)
      .WithHint("'holdfast resume " + name + "' goes on with it");
}

CheckpointOptions EngineOptions(const CheckpointRequest& request, const JobRecord& record,
                                const std::filesystem::path& directory) {
  CheckpointOptions options;
  options.root_pid = record.job.pid;
  options.lineage = record.name;
  options.began_ms = record.began_ms;
  options.annotations = request.annotations;
  options.ask_frozen = [notes = std::make_shared<NotesWatch>(directory)] { return notes->Now(); };
  options.private_files = record.private_files;
  options.private_network = record.private_network;
  options.file_trees = record.file_trees;
  options.stop_job = request.stop;
  options.full_every = request.full_every;
  options.capture = request.capture;
  options.freeze_budget_ms = request.freeze_budget_ms.value_or(record.triggers.freeze_budget_ms);
  options.progress = request.progress;
  return options;
}

// What `record` says of the job's identity and directories, and no more: its supervisor may have written down
// that the job has ended.
Result<void> SaveWhatChanged(const JobBook& book, const JobRecord& record) {
  JobRecord now = TRY(book.Load(record.name));
  if (now.job != record.job) return book.Save(record);
  now.file_trees = record.file_trees;
  now.container = record.container;
  return book.Save(now);
}

// Much memory takes a while to be given back; who resumes the job now is to find it gone.
void WaitForEnd(const ProcessIdentity& job) {
  const Stopwatch waited;
  while (IsAlive(job) && waited.ElapsedMs() < limits::kCollectSecondsMax * 1000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

}  // namespace

Result<JobCheckpoint> CheckpointJob(Store& store, const CheckpointRequest& request) {
  const JobBook book(store.JobsDirectory());
  const std::string name = TRY(FindTarget(book, request)).name;
  TRY(RequireRoot("a checkpoint"));
  const Stopwatch waited;
  const StoreLock lock = TRY(WaitForJobLock(store, name, request.progress));
  JobRecord record = TRY(FindTarget(book, request));  // as it is now that nobody changes it
  const std::filesystem::path directory = book.DirectoryOf(record.name);
  const Result<JobRecord> written = book.Load(record.name);
  const bool known = written.has_value();
  std::optional<Container> container;
  if (record.container) container = TRY(ContainerOfJob(record));
  if (request.file_trees) {
    record.file_trees = TRY(container ? FindContainerTrees(*request.file_trees, container->init_pid)
                                      : FindFileTrees(*request.file_trees, store));
    TRY(RefuseToDropPrivateTrees(record, record.file_trees));
  }
  if (known && written->job == record.job) TRY(WaitUntilFilled(directory, record.name, request.progress));
  const double waited_ms = waited.ElapsedMs();
  CheckpointOptions options = EngineOptions(request, record, directory);
  options.container = container;
  if (!known) TRY(book.Save(record));
  if (request.pid == 0 && request.container.empty()) TRY(RefuseIfStopped(directory, record.name));
  RemoveStopRequest(directory);  // of someone who died before the job did
  std::optional<AnnouncedStop> stop;
  if (request.stop) stop.emplace(TRY(AnnouncedStop::Make(store, directory)));
  const bool supervised = IsAlive(record.supervisor);
  KeptTracking tracking;
  if (supervised) {
    tracking = TakeFromShelf(directory);
    options.tracking = &tracking;
  }
  const bool changed = known && (written->job != record.job || written->file_trees != record.file_trees ||
                                 written->container != record.container);
  // Before the job is gone: the record is its supervisor's then.
  const bool early = changed && request.stop;
  if (early) TRY(SaveWhatChanged(book, record));
  Result<Manifest> manifest = Checkpoint(store, options);
  if (supervised && manifest && !request.stop) PutOnShelf(directory, std::move(tracking));
  if (!manifest) {
    stop.reset();
    if (early) static_cast<void>(SaveWhatChanged(book, *written));
    if (!known) static_cast<void>(book.Remove(record.name));
    return std::move(manifest).error();
  }
  if (stop) {
    // The job has ended and its snapshot is there, whoever cannot be told.
    if (const auto told = stop->Fulfil(manifest->id.ToString()); !told) {
      manifest->warnings.push_back("its supervisor could not be told why it ends: " + told.error().message);
    }
    WaitForEnd(record.job);
  }
  // From now on the name stands for this tree, and its snapshots hold these directories.
  if (changed && !early) TRY(SaveWhatChanged(book, record));
  if (record.keep > 0) {
    if (const auto pruned = store.Prune(record.name, record.keep); !pruned) {
      manifest->warnings.push_back("old snapshots were not pruned: " + pruned.error().message);
    }
  }
  return JobCheckpoint{.manifest = *std::move(manifest), .waited_ms = waited_ms};
}

}  // namespace holdfast
