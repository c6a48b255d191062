// `holdfast checkpoint`: one snapshot of a job, or of any tree by its pid.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "engine/engine.h"
#include "store/store.h"

namespace holdfast {

struct CheckpointRequest {
  std::string name;  // with a pid: what to call it, or empty
  pid_t pid = 0;     // 0: the job called `name`, or `container`
  // Not empty: a container of runc, by its ID. `name`: what to call it, or empty: by its ID.
  std::string container;
  std::string runc_root;  // with a container: `runc --root`; empty: looked for
  std::map<std::string, std::string> annotations;
  // Directories that this and later snapshots hold; as before when not given.
  std::optional<std::vector<std::string>> file_trees;
  bool stop = false;        // leave the job stopped, to be resumed
  uint64_t full_every = 0;  // CheckpointOptions::full_every
  CaptureWay capture = CaptureWay::kAuto;
  std::optional<double> freeze_budget_ms;  // nothing: the job's own
  Progress* progress = nullptr;
};

struct JobCheckpoint {
  Manifest manifest;
  double waited_ms = 0;  // before it began: for somebody else's to end, for the job's memory to be back
};

// Returns when it is committed and what --keep says has been pruned. One at a time for each job; a second
// waits for the first for a minute.
Result<JobCheckpoint> CheckpointJob(Store& store, const CheckpointRequest& request);

}  // namespace holdfast
