// `holdfast run`: a job from its command to its exit status.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "job/notices.h"
#include "job/supervised_job.h"
#include "policy/trigger_settings.h"
#include "store/store.h"

namespace holdfast {

struct RunOptions {
  std::string name;  // empty: one is made from the command
  std::vector<std::string> command;
  TriggerSettings triggers;
  uint64_t keep = 0;
  std::vector<std::string> file_trees;  // as the user names them
  bool terminal = false;
  bool background = false;  // there is no user: output goes to the logs alone
  OnStarted on_started;
  Notices notices;
};

// Returns the job's exit status (kExitCheckpointed: stopped after a last snapshot). Requires: a single
// thread.
Result<int> RunJob(Store& store, const RunOptions& options);

}  // namespace holdfast
