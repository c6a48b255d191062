// Passes 3 to 5: CRIU freezes the tree and describes its kernel objects; inside that freeze, at our plugin's
// word, its memory and files are captured; then the tree runs on.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "criu/find_criu.h"
#include "criu/plugin_server.h"
#include "engine/capture_choice.h"
#include "engine/engine.h"
#include "engine/job_tree.h"
#include "engine/precopy.h"
#include "engine/scratch_directory.h"
#include "files/files.h"
#include "linux/subprocess.h"
#include "memory/drain.h"
#include "memory/memory_twin.h"
#include "memory/shared_memory.h"
#include "memory/smaps_cache.h"
#include "memory/staged_memory.h"

namespace holdfast {

// One process as the freeze left it with us.
struct CapturedTask {
  pid_t pid = 0;               // ours
  pid_t pid_in_namespace = 0;  // the job's
  pid_t pid_for_criu = 0;
  ProcessStatus status;
  ProcessInfo info;
  std::vector<Mapping> mappings;
  std::optional<MemoryTwin> twin;
  StagedMemory staged;  // what a twin lacks, or all that is captured
  // Of a task whose writes were tracked: what has to be captured in the twin, and pages whose content is
  // stored already. Of another one the twin has all.
  bool tracked = false;
  std::optional<std::vector<PageRun>> twin_runs;
  std::vector<PageRun> unwritten;
  uint64_t captured_bytes = 0;        // of a tracked task, in the freeze
  std::vector<Extent> extents;        // already stored: copied while frozen
  std::optional<ComposedSmaps> told;  // what CRIU was told of the mappings; nothing: it asked the kernel
  CaptureChoice choice;
  Stopwatch chosen;       // when
  double capture_ms = 0;  // from then until it was captured; the freeze has other parts
  std::string reason;     // why this way of capture; empty: it needs none
};

struct Captured {
  std::vector<CapturedTask> tasks;
  std::vector<ProcessInfo> zombies;     // have ended and were not waited for: no memory, only a status
  std::vector<ExternalResource> pipes;  // that lead outside
  std::map<std::string, std::string> annotations;  // CheckpointOptions::ask_frozen
  std::vector<std::string> warnings;
  double freeze_ms = 0;
  uint64_t bytes_stored_frozen = 0;  // by CopyFrozen, straight into the store
};

class FrozenJob {
 public:
  FrozenJob(const CheckpointOptions& options, JobTree tree, PreCopied& precopied, PendingSnapshot& pending,
            SharedMemoryCapture& shared, FileCapture& files, const ScratchDirectory& images,
            const CriuInstallation& criu);
  // Freezes, describes, captures, releases. Everything the machine holds of it is in the result; on error
  // nothing is.
  Result<Captured> CaptureAndRelease();

 private:
  Result<void> ServePlugin(PluginServer& server, const Subprocess& criu);
  Result<void> Handle(PluginServer& server, PluginMessage& message);
  Result<void> OnTask(PluginServer& server, PluginMessage& message);
  Result<void> OnTwinMade(PluginMessage& message);
  Result<void> OnSmaps(PluginServer& server, const PluginRequest& request);
  Result<void> CaptureOnce(pid_t pid);
  Result<ProcessInfo> Describe(const CapturedTask& task);
  Result<void> ComposeSmapsOf(CapturedTask& task);
  void ReserveRoom();
  // The pages of a tracked task that have to be captured.
  Result<void> FindWritten(CapturedTask& task, TrackedTask& tracked);
  // How the task is captured, and why so.
  void Choose(CapturedTask& task, uint64_t rseq_area);
  // What of the machine's or the job's memory does not suffice for a twin.
  std::optional<std::string> NoRoomForTwin(const CapturedTask& task);
  Result<void> AskForTwin(PluginServer& server, const CapturedTask& task);
  Result<void> CopyFrozen(CapturedTask& task);
  static bool IsToldForSure(const CapturedTask& task);
  // Copies the runs of a stopped task into our memory.
  Result<void> Stage(CapturedTask& task, const std::vector<PageRun>& runs);
  Result<void> CopyWhatTwinLacks(CapturedTask& task);
  // What a partial twin cut out of the job's memory map has to be whole again.
  void CheckMappings(const CapturedTask& task);

  const CheckpointOptions& options_;
  JobTree tree_;
  PreCopied& precopied_;
  PendingSnapshot& pending_;
  SharedMemoryCapture& shared_;
  FileCapture& files_;
  const ScratchDirectory& images_;
  const CriuInstallation& criu_;
  std::map<pid_t, std::vector<MappingDetail>> smaps_before_;
  std::map<pid_t, StagedMemory> reserved_;  // room for what tracked tasks have written
  std::optional<uint64_t> cgroup_headroom_;
  bool captured_once_ = false;
  std::optional<Error> failure_;
  Captured captured_;
};

}  // namespace holdfast
