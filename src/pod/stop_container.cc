#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "job/checkpoint_job.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "pod/held_identity.h"
#include "pod/lease_keeper.h"
#include "pod/pod_container.h"
#include "pod/pod_progress.h"
#include "pod/restored_mark.h"

namespace holdfast {
namespace {

constexpr int kEndMillisecondsMax = 10'000;  // for a killed process to be gone

// For a kill whose container has just ended, to publish its snapshot.
constexpr std::chrono::milliseconds kDeletePatience{5000};

Result<Holder> HolderOf(const PodContainer& container) {
  return Holder{.pod_uid = container.pod_uid,
                .container = container.name,
                .id = container.id,
                .root = container.root,
                .worker = TRY(IdentifyProcess(getpid())),
                .mount_namespace = TRY(MountNamespace())};
}

// Its first process, if that runs.
Result<std::optional<pid_t>> FindInit(const PodContainer& container) {
  const Result<Container> found = FindContainer(container.id, container.root);
  if (found) return std::optional(found->init_pid);
  if (found.error().kind == ErrorKind::kNotFound) return std::optional<pid_t>();
  return found.error();
}

Result<void> KillInit(const PodContainer& container) {
  const std::optional<pid_t> pid = TRY(FindInit(container));
  if (!pid) return {};
  const Fd init = TRY(OpenPidfd(*pid));
  TRY(SendSignal(init.get(), SIGKILL));
  return WaitForEnd(init.get(), kEndMillisecondsMax);
}

// A container that was never started has not gone on with the snapshot that it was made of; another one may.
Result<void> GiveBackUnused(Lease& lease, const std::string& restored_from) {
  if (!restored_from.empty()) TRY(lease.Publish(restored_from));
  return lease.GiveBack();
}

Result<void> LetGoOn(pid_t init) {
  for (const pid_t pid : TRY(ReadTree(init))) {
    if (kill(pid, SIGCONT) != 0 && errno != ESRCH) return FailErrno(fmt::format("cannot let {} go on", pid));
  }
  return {};
}

Result<std::string> TakeLastSnapshot(Store& store, const StopRequestOfPod& request, Lease& lease,
                                     PodProgress& progress) {
  CheckpointRequest checkpoint;
  checkpoint.container = request.container.id;
  checkpoint.runc_root = request.container.root;
  checkpoint.name = request.container.identity.Lineage();
  checkpoint.stop = true;
  checkpoint.annotations[kIdentityAnnotation] = request.container.identity.path();
  checkpoint.annotations[kPodAnnotation] = request.container.pod_uid;
  if (!request.files.empty()) checkpoint.file_trees = request.files;
  checkpoint.progress = &progress;
  Result<JobCheckpoint> taken = CheckpointJob(store, checkpoint);
  if (!taken) {
    // Whatever has failed, it must be able to hear the signal.
    const Result<Container> container = FindContainer(request.container.id, request.container.root);
    if (container) static_cast<void>(LetGoOn(container->init_pid));
  }
  if (!taken && progress.IsLate())
    return Fail(ErrorKind::kInterrupted, "there was no snapshot within the deadline");
  if (!taken) return std::move(taken).error();
  const Manifest& manifest = taken->manifest;
  std::string done =
      fmt::format("{} taken, frozen for {:.0f} ms", manifest.id.ToString(), manifest.figures.freeze_ms);
  for (const std::string& warning : manifest.warnings) done += "; " + warning;
  // The container is gone, whatever becomes of the lease.
  Result<void> published = lease.Publish(manifest.id.ToString());
  if (published) published = lease.GiveBack();
  if (!published) done += "; not given on: " + published.error().message;
  return done;
}

}  // namespace

Result<std::string> StopPodContainer(Store& store, const StopRequestOfPod& request) {
  const PodContainer& container = request.container;
  PodProgress progress(request.deadline);
  Lease lease =
      TRY(AdoptIdentity(store.directory(), container.identity, TRY(HolderOf(container)), request.deadline));
  TRY(KeepRenewed(lease));
  const std::string restored_from = ReadRestoredMark(container);
  if (restored_from.empty()) return TakeLastSnapshot(store, request, lease, progress);
  TRY(KillInit(container));
  TRY(GiveBackUnused(lease, restored_from));
  return "killed before it was started: " + restored_from + " is its newest snapshot still";
}

Result<std::string> StartPodContainer(const PodContainer& container) {
  const Container running = TRY(FindContainer(container.id, container.root));
  const std::string restored_from = ReadRestoredMark(container);
  if (restored_from.empty()) return Fail(ErrorKind::kNotFound, "it was not restored");
  // First: cut short in between, it must not be taken for one that has never run.
  TRY(RemoveRestoredMark(container));
  if (Result<void> gone_on = LetGoOn(running.init_pid); !gone_on) {
    TRY(MarkRestored(container, restored_from));
    return std::move(gone_on).error();
  }
  return "goes on from " + restored_from;
}

Result<std::string> DeletePodContainer(Store& store, const PodContainer& container, bool force) {
  if (force) TRY(KillInit(container));
  const Holder holder = TRY(HolderOf(container));
  if (TRY(FindInit(container))) return Fail(ErrorKind::kBusy, "it runs");
  Lease lease = TRY(AdoptIdentity(store.directory(), container.identity, holder, kDeletePatience));
  TRY(GiveBackUnused(lease, ReadRestoredMark(container)));
  return "its identity is free";
}

}  // namespace holdfast
