#include <fmt/format.h>
#include "base/clock.h"
#include "job/filling.h"
#include "job/job_book.h"
#include "job/supervised_job.h"
#include "linux/subprocess.h"
#include "pod/files_that_came.h"
#include "pod/held_identity.h"
#include "pod/lease_keeper.h"
#include "pod/pod_container.h"
#include "pod/pod_progress.h"
#include "pod/restored_mark.h"
#include "store/names.h"

namespace holdfast {
namespace {

NewContainer Describe(const CreateRequest& request, Bundle bundle) {
  NewContainer container;
  container.id = request.container.id;
  container.runtime = request.container.runtime;
  container.root = request.container.root;
  container.bundle = std::move(bundle);
  container.streams = request.streams;
  container.close_connections = true;  // the pod's address is another one
  container.leave_stopped = true;
  container.pid_file = request.pid_file;
  container.systemd_cgroup = request.systemd_cgroup;
  return container;
}

JobRecord RecordFor(const Manifest& manifest, const PodContainer& container) {
  JobRecord record = RecordOfSnapshot(manifest);
  record.began_ms = BeganMs(manifest);
  record.resumed_from = manifest.id.ToString();
  record.container = {container.id, container.root};
  return record;
}

// The uid of the pod that it was taken in; empty: nobody has said.
Result<std::string> PodOf(const Store& store, const SnapshotId& id) {
  for (const SnapshotSummary& summary : TRY(store.Snapshots(id.lineage))) {
    if (summary.id.version != id.version) continue;
    const auto found = summary.annotations.find(kPodAnnotation);
    if (found != summary.annotations.end()) return found->second;
  }
  return std::string();
}

Result<void> Discard(const PodContainer& container) {
  SpawnOptions runc;
  runc.arguments = {container.runtime, "--root", container.root, "delete", "--force", container.id};
  TRY(TRY(Subprocess::Spawn(runc)).Wait());
  return {};
}

Result<std::string> Restart(Store& store, const CreateRequest& request, const SnapshotId& id,
                            PodProgress& progress, Lease& lease) {
  const JobBook book(store.JobsDirectory());
  const StoreLock lock = TRY(WaitForJobLock(store, id.lineage, &progress));
  const Manifest manifest = TRY(store.Load(id));
  if (TRY(PodOf(store, manifest.id)) == request.container.pod_uid) {
    // Its engine ended it and makes it again: most likely it did not answer its probes.
    TRY(lease.Publish(""));
    return Fail(ErrorKind::kUnsupported, "it was taken in this very pod, which wants a fresh start");
  }
  RestoreOptions options;
  options.container = Describe(request, TRY(ReadBundle(request.bundle)));
  JobRecord record = RecordFor(manifest, request.container);
  if (!book.Has(record.name)) TRY(book.Save(record));
  const std::filesystem::path directory = book.DirectoryOf(record.name);
  options.fill_record = FillRecordOf(directory);
  options.first_touches = directory / "first-touched";
  options.progress = &progress;
  options.before_it_runs = [&](pid_t root_pid) -> Result<void> {
    record.job = TRY(IdentifyProcess(root_pid));
    record.started_ms = WallClockMs();
    TRY(store.MakePresent(manifest.id));
    return book.Save(record);
  };
  const FilesThatCame files(options.container->bundle.rootfs, manifest);
  const Result<RestoreReport> report = Restore(store, manifest, options);
  if (!report) {
    files.Remove();
    return report.error();
  }
  Result<void> claimed = MarkRestored(request.container, manifest.id.ToString());
  // Nobody else is to go on with it: what runs now may change things that no snapshot has.
  if (claimed) claimed = lease.Publish("");
  if (!claimed) {
    TRY(Discard(request.container));
    files.Remove();
    return claimed.error();
  }
  return fmt::format("restarted from {} in {:.0f} ms", manifest.id.ToString(), report->restart_ms);
}

}  // namespace

Result<std::string> CreatePodContainer(Store& store, const CreateRequest& request) {
  const PodContainer& container = request.container;
  PodProgress progress(request.deadline);
  Lease lease = TRY(TakeIdentity(store.directory(), container.identity,
                                 {.pod_uid = container.pod_uid,
                                  .container = container.name,
                                  .id = container.id,
                                  .root = container.root,
                                  .worker = request.creator,
                                  .mount_namespace = TRY(MountNamespace())},
                                 request.patience));
  TRY(KeepRenewed(lease));
  const std::string snapshot = lease.record().snapshot;
  if (snapshot.empty()) return Fail(ErrorKind::kNotFound, "no snapshot was published for its identity yet");
  const SnapshotId id = TRY(ParseSnapshotId(snapshot));
  Result<std::string> restarted = Restart(store, request, id, progress, lease);
  if (!restarted) return std::move(restarted).error().Within("not restarted from " + snapshot);
  return restarted;
}

}  // namespace holdfast
