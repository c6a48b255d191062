// `holdfast resume`: a job from one of its snapshots to its exit status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/engine.h"
#include "job/notices.h"
#include "job/supervised_job.h"
#include "policy/trigger_settings.h"
#include "store/store.h"

namespace holdfast {

// For a snapshot of a container: the one that it becomes.
struct ContainerToMake {
  std::string id;
  std::string bundle;  // a directory with config.json
  std::string root;    // `runc --root`; empty: runc's default
  bool close_connections = false;
};

struct ResumeOptions {
  std::optional<ContainerToMake> container;
  SnapshotId snapshot;  // version 0: the present
  PidMode pid_mode = PidMode::kSame;
  bool keep_files = false;
  MemoryComes memory = MemoryComes::kAuto;
  TriggerChanges triggers;
  std::optional<uint64_t> keep;  // as before when not given
  // Directories that later snapshots hold, as the user names them; as before when not given.
  std::optional<std::vector<std::string>> file_trees;
  bool background = false;
  OnStarted on_started;
  Notices notices;
  Progress* progress = nullptr;
};

// Returns the job's exit status, as RunJob does. Refuses while the job lives. Requires: a single thread.
Result<int> ResumeJob(Store& store, const ResumeOptions& options);

}  // namespace holdfast
