// A checkpoint, pass by pass.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/paths.h"
#include "base/units.h"
#include "engine/container_facts.h"
#include "engine/engine.h"
#include "engine/freeze_account.h"
#include "engine/frozen_job.h"
#include "engine/job_tree.h"
#include "engine/memory_advice.h"
#include "engine/precopy.h"
#include "engine/snapshot_images.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "memory/drain.h"
#include "memory/known_pages.h"

namespace holdfast {
namespace {

constexpr const char* kBeganFact = "began-ms";
constexpr const char* kBootFact = "boot-id";
constexpr const char* kDeltasFact = "deltas-since-full";
constexpr int kTwinEndMilliseconds = 100;

void Phase(const CheckpointOptions& options, std::string_view name, uint64_t total = 0) {
  if (options.progress != nullptr) options.progress->Phase(name, total);
}

Result<void> RefuseObstacles(const CheckpointOptions& options) {
  const std::vector<Obstacle> obstacles = TRY(Preflight(options));
  if (obstacles.empty()) return {};
  Error error = Fail(ErrorKind::kUnsupported,
                     fmt::format("'{}' cannot be checkpointed (nothing was changed):", options.lineage));
  std::set<std::string> remedies;
  for (const Obstacle& obstacle : obstacles) {
    error.message += "\n  ";
    if (obstacle.pid != 0) error.message += fmt::format("{} (pid {}) ", obstacle.process, obstacle.pid);
    error.message += obstacle.what;
    if (obstacle.remedy.empty() || !remedies.insert(obstacle.remedy).second) continue;
    error.hint += (error.hint.empty() ? "" : "; ") + obstacle.remedy;
  }
  return error;
}

// The least that a snapshot will add to the store: some of a first one's memory, however well it compresses;
// after a delta, half of what that one added. What follows a full one may be next to nothing.
uint64_t LeastBytesStored(const std::vector<SnapshotSummary>& earlier, const JobTree& tree) {
  constexpr uint64_t kFirstShare = 20;
  if (earlier.empty()) return tree.resident_bytes / kFirstShare;
  const SnapshotSummary& newest = earlier.back();
  return newest.kind == SnapshotKind::kDelta ? newest.figures.bytes_stored / 2 : 0;
}

// A store that is sure to run full is refused before the job is touched. One that only may is tried: a
// snapshot that does not fit is undone, mostly before the freeze, and a refusal would leave the job with none
// at all.
Result<void> RefuseFullStore(const Store& store, const CheckpointOptions& options, const JobTree& tree) {
  const std::vector<SnapshotSummary> earlier =
      store.Snapshots(options.lineage).value_or(std::vector<SnapshotSummary>{});
  const uint64_t needed = LeastBytesStored(earlier, tree) + kMiB;
  const uint64_t available = TRY(store.BytesAvailable());
  if (available >= needed) return {};
  return Fail(ErrorKind::kNoSpace,
              fmt::format("the store {} has {} left; this snapshot needs at least {}",
                          store.directory().string(), FormatBytes(available), FormatBytes(needed)))
      .WithHint("`holdfast prune` drops old snapshots; --store puts them elsewhere");
}

// How many deltas in a row there are, the newest being `manifest`.
uint64_t DeltasSinceFull(const Manifest& manifest) {
  const auto fact = manifest.engine_facts.find(kDeltasFact);
  return fact == manifest.engine_facts.end() ? 0 : std::strtoull(fact->second.c_str(), nullptr, 10);
}

// The present snapshot: what is in it is not stored again. One that is damaged is no parent; a full one has
// none.
std::optional<Manifest> LoadParent(const Store& store, const CheckpointOptions& options) {
  Result<Manifest> present = store.Load({options.lineage, 0});
  if (!present) return std::nullopt;
  if (options.full_every > 0 && DeltasSinceFull(*present) + 1 >= options.full_every) return std::nullopt;
  return *std::move(present);
}

// By times alone files are known as those of a snapshot only while nothing can have been lost but with them.
bool IsOfThisBoot(const Manifest& manifest, const std::string& boot) {
  const auto fact = manifest.engine_facts.find(kBootFact);
  return fact != manifest.engine_facts.end() && fact->second == boot;
}

struct Drained {
  std::vector<AddressSpace> address_spaces;
  std::vector<SharedObject> shared_objects;
  uint64_t bytes_captured = 0;
};

// All pages of the twin but those that were staged.
Result<std::vector<PageRun>> FindInTwin(const CapturedTask& task, const std::vector<Extent>& staged) {
  std::vector<Mapping> mappings;
  for (const Mapping& mapping : task.mappings) {
    const bool is_staged = std::any_of(staged.begin(), staged.end(), [&mapping](const Extent& extent) {
      return extent.address >= mapping.start && extent.address < mapping.end;
    });
    if (!is_staged) mappings.push_back(mapping);
  }
  return FindPages(task.twin->pid(), mappings);
}

// Stores one task's memory and lets its twin go.
Result<AddressSpace> DrainTask(CapturedTask& task, const PreCopied& precopied, PendingSnapshot& pending,
                               const std::function<void(uint64_t)>& advanced, const Progress* progress) {
  AddressSpace space;
  space.pid = task.pid_in_namespace;
  space.extents = std::move(task.extents);
  const auto over_file = [&task](uint64_t address) {
    const auto after =
        std::upper_bound(task.mappings.begin(), task.mappings.end(), address,
                         [](uint64_t at, const Mapping& mapping) { return at < mapping.start; });
    return after != task.mappings.begin() && std::prev(after)->inode != 0;
  };
  std::vector<Extent> staged = TRY(DrainStaged(task.staged, pending, over_file));
  for (const StagedRange& range : task.staged.ranges()) advanced(range.bytes.size());
  task.staged = StagedMemory();
  if (task.twin) {
    const std::vector<PageRun> runs = task.twin_runs ? *task.twin_runs : TRY(FindInTwin(task, staged));
    const Result<std::vector<Extent>> extents =
        DrainProcess(task.twin->pid(), runs, pending, &*task.twin, advanced, progress);
    // One that was killed may take a moment to be seen as dead.
    if (extents ? task.twin->IsDead() : task.twin->WaitUntilDead(kTwinEndMilliseconds)) {
      return Fail(ErrorKind::kBusy,
                  fmt::format("the twin of process {} was killed, as when memory runs out", task.pid));
    }
    if (!extents) return Error(extents.error());
    space.extents.insert(space.extents.end(), extents->begin(), extents->end());
    task.twin.reset();
  }
  space.extents.insert(space.extents.end(), staged.begin(), staged.end());
  if (const auto tracked = precopied.tasks.find(task.pid); tracked != precopied.tasks.end()) {
    const std::vector<Extent> known = Within(tracked->second.known, task.unwritten);
    space.extents.insert(space.extents.end(), known.begin(), known.end());
  }
  SortExtents(space.extents);
  return space;
}

Result<Drained> Drain(Captured& captured, SharedMemoryCapture& shared, const PreCopied& precopied,
                      PendingSnapshot& pending, const CheckpointOptions& options) {
  Drained drained;
  uint64_t total = shared.bytes();
  for (const CapturedTask& task : captured.tasks) {
    const bool tracked = precopied.tasks.contains(task.pid);
    total += tracked ? task.captured_bytes : task.info.resident_bytes;
  }
  Phase(options, "drain", total);
  std::atomic<uint64_t> done{captured.bytes_stored_frozen};
  const auto advanced = [&](uint64_t bytes) {
    const uint64_t now = done += bytes;
    if (options.progress != nullptr) options.progress->Advance(now);
  };
  for (CapturedTask& task : captured.tasks) {
    drained.address_spaces.push_back(TRY(DrainTask(task, precopied, pending, advanced, options.progress)));
  }
  const uint64_t shared_bytes = shared.bytes();
  drained.shared_objects = TRY(shared.Drain(pending));
  drained.bytes_captured = done + shared_bytes + precopied.bytes;
  return drained;
}

// A twin serves as a picture of its task's mappings too: what CRIU was told from a guess is put right.
struct Corrections {
  std::map<pid_t, std::vector<MappingDetail>> details;
  bool lost_content = false;  // of a mapping it was not known what fork makes of it
};

// A task that has ended by now cannot be asked; it was told as it was just before the freeze.
void CorrectWithoutTwin(const CapturedTask& task, Corrections& corrections) {
  const Result<std::vector<MappingDetail>> later = ReadSmaps(task.pid);
  if (!later) return;
  bool differs = false;
  bool doubtful = false;  // what fork makes of a mapping, which is no matter here: all of it was copied
  std::vector<MappingDetail> corrected = CorrectByLater(task.told->details, *later, &differs, &doubtful);
  if (differs) corrections.details[task.pid_in_namespace] = std::move(corrected);
}

Result<Corrections> CorrectFlags(const Captured& captured) {
  Corrections corrections;
  for (const CapturedTask& task : captured.tasks) {
    if (!task.told) continue;
    if (!task.twin) {
      CorrectWithoutTwin(task, corrections);
      continue;
    }
    const std::vector<MappingDetail> in_twin = TRY(ReadSmaps(task.twin->pid()));
    bool differs = false;
    std::vector<MappingDetail> corrected = CorrectByTwin(task.told->details, in_twin, &differs);
    if (!differs) continue;
    for (size_t i = 0; i < corrected.size(); ++i) {
      if (IsCaptured(corrected[i].mapping) && corrected[i].Has("wf") && !task.told->details[i].Has("wf")) {
        corrections.lost_content = true;
      }
    }
    corrections.details[task.pid_in_namespace] = std::move(corrected);
  }
  return corrections;
}

std::string_view WayName(CaptureChoice::Way way) {
  switch (way) {
    case CaptureChoice::Way::kCopy:
      return "copy";
    case CaptureChoice::Way::kPartialTwin:
      return "partial twin";
    case CaptureChoice::Way::kWholeTwin:
      return "twin";
  }
  return "twin";
}

std::string NameCapture(const Captured& captured, std::string* reason) {
  std::set<std::string_view> ways;
  for (const CapturedTask& task : captured.tasks) {
    ways.insert(WayName(task.choice.way));
    if (!task.reason.empty() && reason->find(task.reason) == std::string::npos) {
      *reason += (reason->empty() ? "" : "; ") + task.reason;
    }
  }
  if (reason->empty()) *reason = "larger than what is copied sooner than cloned";
  return ways.size() == 1 ? std::string(*ways.begin()) : "mixed";
}

ProcessInfo WithMappings(const CapturedTask& task) {
  ProcessInfo info = task.info;
  for (const Mapping& mapping : task.mappings) {
    const std::string permissions = {mapping.readable ? 'r' : '-', mapping.writable ? 'w' : '-',
                                     mapping.executable ? 'x' : '-', mapping.shared ? 's' : 'p'};
    info.mappings.push_back({mapping.start, mapping.end, permissions, mapping.name});
  }
  return info;
}

std::string_view KindName(ExternalResource::Kind kind) {
  switch (kind) {
    case ExternalResource::Kind::kTerminal:
      return "terminal";
    case ExternalResource::Kind::kPipeReadEnd:
      return "pipe-read-end";
    case ExternalResource::Kind::kPipeWriteEnd:
      return "pipe-write-end";
  }
  return "terminal";
}

void RecordFacts(const CheckpointOptions& options, const JobTree& tree,
                 const std::vector<ExternalResource>& pipes, Manifest& manifest) {
  auto& facts = manifest.engine_facts;
  if (!tree.session_leader) facts["shell-job"] = "1";
  if (options.private_files) facts[kPrivateFilesFact] = "1";
  if (options.private_network) facts[kPrivateNetworkFact] = "1";
  if (options.file_locks) facts["file-locks"] = "1";
  if (options.tcp_established) facts["tcp-established"] = "1";
  std::vector<ExternalResource> external = tree.terminals;
  external.insert(external.end(), pipes.begin(), pipes.end());
  for (size_t i = 0; i < external.size(); ++i) {
    facts[fmt::format("external-{}", i)] = fmt::format("{} {}", KindName(external[i].kind), external[i].name);
  }
}

// Every process of the tree, by descriptors taken while it surely was that process.
class TreeKiller {
 public:
  // `stopped`: they stand still, for as long as this does.
  TreeKiller(const std::vector<CapturedTask>& tasks, bool stopped) : stopped_(stopped) {
    for (const CapturedTask& task : tasks) {
      Result<Fd> pidfd = OpenPidfd(task.pid);
      if (pidfd) pidfds_.push_back(*std::move(pidfd));
    }
    if (!tasks.empty()) root_ = tasks.front().pid;
  }
  TreeKiller(const TreeKiller&) = delete;
  TreeKiller& operator=(const TreeKiller&) = delete;
  // No snapshot came of it: who stands still for one goes on.
  ~TreeKiller() {
    if (!stopped_ || killed_) return;
    for (const Fd& pidfd : pidfds_) (void)SendSignal(pidfd.get(), SIGCONT);
  }
  // The processes of the snapshot, and what they have started since.
  void Kill() {
    killed_ = true;
    const std::vector<pid_t> now = ReadTree(root_).value_or(std::vector<pid_t>{});
    for (const Fd& pidfd : pidfds_) (void)SendSignal(pidfd.get(), SIGKILL);
    for (const pid_t pid : now) kill(pid, SIGKILL);
  }

 private:
  std::vector<Fd> pidfds_;
  pid_t root_ = 0;
  bool stopped_ = false;
  bool killed_ = false;
};

// What is mounted over the container's own files is not its own. CRIU carries its tmpfs itself.
void IgnoreMounts(const ContainerMounts& mounts, std::vector<std::string>& ignored) {
  for (const std::string& point : mounts.others) {
    ignored.push_back(point);
    ignored.push_back(point + "/");
  }
}

void ForgetMounted(const ContainerMounts& mounts, std::vector<DirectoryState>& directories) {
  std::erase_if(directories, [&mounts](const DirectoryState& directory) {
    return std::any_of(mounts.others.begin(), mounts.others.end(), [&directory](const std::string& point) {
      return directory.path != point && IsWithin(directory.path, point);
    });
  });
}

Result<Manifest> TakeSnapshot(Store& store, const CheckpointOptions& options) {
  const Stopwatch total;
  const CriuInstallation criu = TRY(FindCriu());
  Phase(options, "pre-flight");
  if (!options.container) TRY(RefuseTreesAround(store, options.file_trees));
  TRY(RefuseObstacles(options));
  std::optional<ContainerFacts> container;
  if (options.container) {
    container = TRY(FindContainerFacts(*options.container));
    TRY(RefuseMountedTrees(container->mounts, options.file_trees));
  }
  CollectLeftTwins(TRY(ReadTree(options.root_pid)));
  JobTree tree = TRY(ExamineTree(options.root_pid));
  TRY(RefuseFullStore(store, options, tree));
  const std::optional<Manifest> parent = LoadParent(store, options);
  const std::unique_ptr<PendingSnapshot> pending =
      TRY(store.Begin(options.lineage, parent ? &*parent : nullptr));
  const ScratchDirectory images = TRY(ScratchDirectory::Make(store, "dump"));

  const int64_t began_ms = options.began_ms != 0 ? options.began_ms : TRY(StartedMs(options.root_pid));

  Phase(options, "files");
  FileCaptureOptions file_options;
  file_options.file_bytes_max = options.file_bytes_max;
  file_options.ignored = {"/proc/", "/sys/"};
  if (container) IgnoreMounts(container->mounts, file_options.ignored);
  file_options.began_ms = began_ms;
  file_options.trees = options.file_trees;
  const std::string boot = TRY(ReadFile("/proc/sys/kernel/random/boot_id"));
  if (parent && IsOfThisBoot(*parent, boot)) file_options.parent = &*parent;
  const std::unique_ptr<FileCapture> files = TRY(FileCapture::Prepare(tree.pids, *pending, file_options));

  SharedMemoryCapture shared;
  const Manifest* base = parent ? &*parent : nullptr;
  const double rest_ms = ExpectRestMs(base, tree);
  PreCopied precopied = TRY(PreCopy(tree, base, rest_ms, shared, *pending, options));

  TRY(files->Refresh(tree.pids));

  Phase(options, "freeze");
  FrozenJob job(options, tree, precopied, *pending, shared, *files, images, criu);
  Captured captured = TRY(job.CaptureAndRelease());
  shared.EndTracking();
  if (options.progress != nullptr) {
    options.progress->Note("the job stood still for " +
                           FormatMilliseconds(captured.freeze_ms + precopied.stopped_ms));
  }

  if (options.tracking == nullptr) LeaveTracking(precopied, {}, options);
  const Stopwatch drain;
  TreeKiller killer(captured.tasks, options.stop_job && options.container.has_value());
  const Corrections corrections = TRY(CorrectFlags(captured));
  if (corrections.lost_content) {
    return Fail(ErrorKind::kBusy,
                "the job changed what fork() makes of its memory at the moment of the freeze");
  }
  Manifest manifest;
  std::vector<std::vector<Advice>> advice;
  for (const CapturedTask& task : captured.tasks) {
    manifest.processes.push_back(WithMappings(task));
    advice.push_back(TRY(FindAdvice(task, corrections.details)));
  }
  manifest.processes.insert(manifest.processes.end(), captured.zombies.begin(), captured.zombies.end());
  manifest.figures.capture = NameCapture(captured, &manifest.figures.capture_reason);
  Drained drained = TRY(Drain(captured, shared, precopied, *pending, options));
  manifest.address_spaces = std::move(drained.address_spaces);
  for (size_t i = 0; i < advice.size(); ++i) {
    RecordAdvice(advice[i], manifest.address_spaces[i], manifest.engine_facts);
  }
  manifest.shared_objects = std::move(drained.shared_objects);
  manifest.images = TRY(StoreImages(images.path(), *pending, corrections.details));
  manifest.files = TRY(files->Finish());
  manifest.directories = files->directories();
  if (container) ForgetMounted(container->mounts, manifest.directories);
  manifest.trees = files->trees();
  manifest.warnings = files->warnings();
  manifest.warnings.insert(manifest.warnings.end(), captured.warnings.begin(), captured.warnings.end());
  if (container) {
    for (std::string& warning : ContainerWarnings(*container, options.file_trees)) {
      manifest.warnings.push_back(std::move(warning));
    }
    RecordContainer(*container, manifest.engine_facts);
  }

  Phase(options, "commit");
  if (options.progress != nullptr && options.progress->Cancelled())
    return Fail(ErrorKind::kInterrupted, "interrupted");
  if (parent) {
    manifest.parent = parent->id;
    manifest.kind = SnapshotKind::kDelta;
    manifest.engine_facts[kDeltasFact] = std::to_string(DeltasSinceFull(*parent) + 1);
  }
  manifest.created_ms = WallClockMs();
  manifest.root_pid = tree.root_in_namespace;
  manifest.environment = DescribeEnvironment();
  manifest.environment.criu_version = criu.version;
  RecordFacts(options, tree, captured.pipes, manifest);
  RecordTracking(precopied, manifest.engine_facts);
  manifest.engine_facts[kBeganFact] = std::to_string(began_ms);
  manifest.engine_facts[kBootFact] = boot;
  manifest.figures.freeze_ms = captured.freeze_ms + precopied.stopped_ms;
  RecordFreeze(options, captured, precopied, rest_ms, manifest);
  manifest.figures.drain_ms = drain.ElapsedMs();
  manifest.figures.total_ms = total.ElapsedMs();
  manifest.figures.bytes_captured = drained.bytes_captured;
  manifest.figures.bytes_stored = pending->bytes_stored();
  std::map<std::string, std::string> annotations = options.annotations;
  annotations.merge(captured.annotations);
  manifest.id = TRY(pending->Commit(manifest, annotations));
  if (options.stop_job) killer.Kill();
  LeaveTracking(precopied, manifest.id, options);
  return manifest;
}

// What failed because the job is gone is told as that.
Error TellOfEnd(Error error, const Result<ProcessStatus>& before) {
  const bool can_come_of_it = error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kCriu ||
                              error.kind == ErrorKind::kIo || error.kind == ErrorKind::kBusy;
  if (!before || before->zombie() || !can_come_of_it) return error;
  const Result<ProcessStatus> now = ReadStatus(before->pid);
  if (now && !now->zombie() && !now->exiting && now->start_ticks == before->start_ticks) return error;
  return Fail(
      ErrorKind::kNotFound,
      fmt::format("the job ended while it was checkpointed, and nothing was saved: {}", error.message));
}

}  // namespace

// What is kBusy is bad luck: memory that ran out for the twin, a file or a mapping that changed at the wrong
// moment. The last try takes no twin.
Result<Manifest> Checkpoint(Store& store, const CheckpointOptions& options) {
  constexpr int kTriesMax = 3;
  const Result<ProcessStatus> before = ReadStatus(options.root_pid);
  CheckpointOptions attempt_options = options;
  for (int attempt = 1;; ++attempt) {
    if (attempt == kTriesMax && options.capture == CaptureWay::kAuto)
      attempt_options.capture = CaptureWay::kCopy;
    Result<Manifest> manifest = TakeSnapshot(store, attempt_options);
    const bool again = !manifest && manifest.error().kind == ErrorKind::kBusy && attempt < kTriesMax;
    if (again) continue;
    if (!manifest) return TellOfEnd(std::move(manifest).error(), before);
    return manifest;
  }
}

int64_t BeganMs(const Manifest& manifest) {
  const auto fact = manifest.engine_facts.find(kBeganFact);
  return fact == manifest.engine_facts.end() ? 0 : std::strtoll(fact->second.c_str(), nullptr, 10);
}

std::vector<ExternalResource> ExternalResources(const Manifest& manifest) {
  std::vector<ExternalResource> resources;
  for (const auto& [key, value] : manifest.engine_facts) {
    if (!key.starts_with("external-")) continue;
    const size_t space = value.find(' ');
    if (space == std::string::npos) continue;
    for (const auto kind : {ExternalResource::Kind::kTerminal, ExternalResource::Kind::kPipeReadEnd,
                            ExternalResource::Kind::kPipeWriteEnd}) {
      if (KindName(kind) == value.substr(0, space)) resources.push_back({value.substr(space + 1), kind});
    }
  }
  return resources;
}

}  // namespace holdfast
