// The engine: checkpoint a process tree into a store, restart one from it. Knows no front door: no flags, no
// terminal, no supervision. Every function may be called from any process that is root; not thread-safe per
// job (take Store::Lock on the lineage first).
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/progress.h"
#include "base/result.h"
#include "oci/container.h"
#include "store/store.h"

namespace holdfast {

// kPreCopy: what kAuto does to large processes, to all. kPartialTwin: that, and twins of nothing but what was
// written meanwhile, wherever there can be any.
enum class CaptureWay { kAuto, kTwin, kCopy, kPreCopy, kPartialTwin };

// Whether all processes are pre-copied, worth it or not.
inline bool AlwaysPreCopies(CaptureWay way) {
  return way == CaptureWay::kPreCopy || way == CaptureWay::kPartialTwin;
}

// What a checkpoint leaves for the next one of the same running job: descriptors that keep the tracking of
// its writes going. Whoever holds them does nothing with them; when he lets go of them, or dies, the tracking
// ends and the next checkpoint looks at all memory again.
struct KeptTracking {
  SnapshotId base;  // since which writes are tracked
  struct Task {
    pid_t pid = 0;  // ours
    uint64_t start_ticks = 0;
    Fd userfaultfd;
  };
  std::vector<Task> tasks;
};

struct CheckpointOptions {
  pid_t root_pid = 0;  // of the tree, in our pid namespace
  std::string lineage;
  std::map<std::string, std::string> annotations;
  // What the job says of itself: asked once, while it stands still, so quick. `annotations` win.
  std::function<std::map<std::string, std::string>()> ask_frozen;
  // Since when the job runs, over all its restarts (ms since 1970). 0: since its root process was started.
  int64_t began_ms = 0;
  bool private_files = false;    // it has them: RestoreOptions::private_files
  bool private_network = false;  // it has one: RestoreOptions::private_network
  // The tree is this container's, and runc describes it (docs/decisions/0018-containers-through-runc.md).
  std::optional<Container> container;
  // Leave the tree dead (SIGKILL) after the snapshot is committed. A container stands still until then.
  bool stop_job = false;
  // Not 0: a full snapshot, without a parent, when the so many less one before it were deltas.
  uint64_t full_every = 0;
  CaptureWay capture = CaptureWay::kAuto;
  // Not 0: how long the job may stand still. Kept where it can be; a snapshot is taken in any case, and
  // FreezeAccount says why where it was not.
  double freeze_budget_ms = 0;
  // Not null: what the last checkpoint left; used up in any case, and filled anew when there is a snapshot.
  KeptTracking* tracking = nullptr;
  bool tcp_established = true;
  bool file_locks = true;
  uint64_t file_bytes_max = 16ull << 30;  // of a file whose content is kept
  // Directories that belong to the snapshot with all that is in them: FileCaptureOptions::trees.
  std::vector<std::string> file_trees;
  Progress* progress = nullptr;
};

// What was expected of the freeze, and what came of it; the freeze itself is in the manifest's figures.
struct FreezeAccount {
  double predicted_ms = 0;
  int precopy_rounds = 0;      // of the process that had the most
  uint64_t written_bytes = 0;  // what tracked processes had left to capture in the freeze
  double budget_ms = 0;        // 0: there was none
  std::string budget_missed;   // why; empty: it was kept
};
// Nothing: the snapshot is from before this was recorded.
std::optional<FreezeAccount> FreezeAccountOf(const Manifest& manifest);

// What a checkpoint would stumble over. `pid` 0: the machine.
struct Obstacle {
  pid_t pid = 0;
  std::string process;  // its name
  std::string what;     // "holds an io_uring (fd 5)"
  std::string remedy;
};

// Pass 1 alone: empty when the tree can be checkpointed. Errors: the pid is gone, a kernel thread, ourselves,
// ...
Result<std::vector<Obstacle>> Preflight(const CheckpointOptions& options);

// Takes one snapshot; returns when it is committed. On error the job runs on as if nothing had happened and
// the store is as it was.
Result<Manifest> Checkpoint(Store& store, const CheckpointOptions& options);

// What a checkpoint of the running tree would have to save now. Quick, and nothing stands still for it.
struct UnsavedMemory {
  bool tracked = false;          // the writes of at least one process are tracked
  uint64_t written_bytes = 0;    // by those processes, in memory of their own, since the tracking began
  uint64_t untracked_bytes = 0;  // resident in all others
};
// `tracking`: what the last checkpoint left; its descriptors are not needed, but somebody must hold them.
Result<UnsavedMemory> MeasureUnsaved(pid_t root_pid, const KeptTracking& tracking);

// An end outside the job that one of its descriptors leads to. At a restart something of ours takes its
// place.
struct ExternalResource {
  enum class Kind { kTerminal, kPipeReadEnd, kPipeWriteEnd };  // which end the job holds
  std::string name;  // CRIU's name for it: "tty[8803:5]", "pipe:[123]"
  Kind kind = Kind::kTerminal;
};

std::vector<ExternalResource> ExternalResources(const Manifest& manifest);

// CheckpointOptions::began_ms of the job in this snapshot.
int64_t BeganMs(const Manifest& manifest);

// A store must not be in a snapshot of its own, nor a job's directory in its store. kUsage names the two.
Result<void> RefuseTreesAround(const Store& store, const std::vector<std::string>& file_trees);

// The engine facts of a job that has private files, a private network.
inline constexpr const char* kPrivateFilesFact = "private-files";
bool HasPrivateFiles(const Manifest& manifest);
inline constexpr const char* kPrivateNetworkFact = "private-network";
bool HasPrivateNetwork(const Manifest& manifest);

// Of a container. `id`, `runtime`, `root`, `bundle` and `rootfs` as they were; no process.
std::optional<Container> ContainerOf(const Manifest& manifest);

// What the job in a snapshot has of the network that it is in.
struct NetworkUse {
  // Which only one job in a network can have: what its sockets are bound to. "tcp 127.0.0.1:8888", "unix
  // @name"
  std::vector<std::string> names;
  bool talks_to_itself = false;  // has connections with both ends in the job
  bool talks_to_others = false;  // has connections that lead out of it
};
Result<NetworkUse> ReadNetworkUse(const Store& store, const Manifest& manifest);

// The first snapshot of a new lineage: what `original` holds, without storing it again, but for connections
// that lead out of the job: those are the original's, and closed here. Its job has private files.
Result<SnapshotId> CloneSnapshot(Store& store, const Manifest& original, const std::string& lineage,
                                 bool private_network);

enum class PidMode { kSame, kNewNamespace };

// When a restarted job's memory comes: before it runs, or while it does, from processes of ours that answer
// for what it touches (docs/decisions/0009-lazy-restart.md). What cannot come later comes before in any case.
enum class MemoryComes {
  kAuto,  // later, where there is enough of it to be worth it
  kBefore,
  kLater,
};

// What a container in a snapshot becomes.
struct NewContainer {
  std::string id;  // that runc does not know yet
  std::string runtime;
  std::string root;
  Bundle bundle;
  // Take the places of pipes that its first process had as descriptors 0, 1 and 2. No files and no terminals:
  // those are not among its mounts, and no further checkpoint could be taken.
  std::array<int, 3> streams{};
  // Its connections come back closed, as when the network that it gets has other addresses.
  bool close_connections = false;
  // For an engine that asks runc for a container and starts it later.
  bool leave_stopped = false;   // its processes stand still, by SIGSTOP
  std::string pid_file;         // written by runc; empty: none
  bool systemd_cgroup = false;  // `runc --systemd-cgroup`
};

struct RestoreOptions {
  // For a snapshot of a container, and only for one. Its files go to the bundle's root file system; it has
  // the pid namespace that the bundle says.
  std::optional<NewContainer> container;
  PidMode pid_mode = PidMode::kSame;
  // ExternalResource::name -> our fd. What is missing becomes /dev/null (a terminal: an error).
  std::map<std::string, int> inherit_fds;
  bool keep_files = false;  // do not put files back
  // Not empty: a directory for the job's own copies of its files, which others keep under their names. What
  // else is in it is the job's own, too, under its path there. Requires kNewNamespace.
  std::string private_files;
  // With private files: the directories that are the job's own as wholes, none within another. All trees of
  // the snapshot must be in them; others are mounted as they are.
  std::vector<std::string> private_trees;
  // With private files: where all jobs' directories are, and the job's own one in it. It sees no other's: not
  // that of the job that it is a clone of either, which goes when that one is removed.
  std::string jobs_directory;
  std::string job_directory;
  // A network namespace of its own: loopback, with the addresses that its sockets are bound to, and nothing
  // else. Requires kNewNamespace.
  bool private_network = false;
  MemoryComes memory = MemoryComes::kAuto;
  // Files for it, not of the snapshot; needed unless kBefore. See fill_record.h; the first one is gone when
  // no memory comes later.
  std::string fill_record;
  std::string first_touches;
  // Called with the root's pid (ours) when the processes are there and before any may run: what must be
  // written down so that nobody loses sight of a running job. An error ends the restart.
  std::function<Result<void>(pid_t root_pid)> before_it_runs;
  // Called, once at most, with what keeps the tracking of the job's writes since the snapshot going: by
  // Restore or, where memory comes later, by a process of ours when all of it is there. Without it nothing is
  // tracked.
  std::function<void(KeptTracking)> keep_tracking;
  Progress* progress = nullptr;
};

struct RestoreReport {
  pid_t root_pid = 0;  // in our pid namespace
  // The child of the calling process to wait for: the root itself or, with PidMode::kNewNamespace, the init
  // of its namespace, which exits as the root does (128 + N when signal N killed it).
  pid_t child_pid = 0;
  double restart_ms = 0;  // from the call until the job runs
  uint64_t bytes_restored = 0;
  uint64_t bytes_to_come = 0;               // of it, while the job runs
  std::vector<std::string> files_put_back;  // one sentence each
};

// A snapshot of a container becomes a container, and no other one does.
Result<void> RefuseOtherKind(const Manifest& manifest, const RestoreOptions& options);

// Restarts the job from the snapshot, as a child of the calling process. On error nothing of it is left
// running.
Result<RestoreReport> Restore(const Store& store, const Manifest& manifest, const RestoreOptions& options);

enum class FindingLevel { kOk, kDegraded, kBroken };

struct Finding {
  FindingLevel level = FindingLevel::kOk;
  std::string subject;  // "PAGEMAP_SCAN"
  std::string what;
  std::string remedy;  // empty when ok
};

struct DoctorReport {
  std::string criu_path;  // empty: none found
  std::string criu_version;
  std::vector<Finding> findings;
};

DoctorReport Doctor();

}  // namespace holdfast
