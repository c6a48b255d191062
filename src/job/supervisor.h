// Stands by a running job: passes signals on, takes checkpoints when one is due and a last one on SIGTERM,
// reaps what the job leaves behind, and knows how the job ended. Checkpoints run as a child process, so that
// nothing that happens to one can harm the supervisor.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/job_output.h"
#include "job/notices.h"
#include "job/signal_fence.h"
#include "job/tracking_shelf.h"
#include "policy/duration_predictor.h"
#include "policy/trigger_settings.h"

namespace holdfast {

struct SupervisorOptions {
  std::string job_name;
  pid_t job_pid = 0;
  pid_t child_pid =
      0;  // ours to wait for: the job, or the init of its pid namespace, which ends as the job does
  TriggerSettings triggers;
  // Prints the JSON of `holdfast checkpoint`. What a trigger wants is appended.
  std::vector<std::string> checkpoint_command;
  // Asked when the job was killed: the snapshot after which it was stopped on purpose, or empty.
  std::function<std::string()> stopped_after;
  // Asked when the job is to be stopped by a deadline: what earlier checkpoints took.
  std::function<DurationPredictor()> earlier_checkpoints;
  Notices notices;
  std::filesystem::path job_directory;  // where checkpoints leave something for one another
  TrackingShelf* shelf = nullptr;       // none: every checkpoint looks at all memory
};

struct JobEnd {
  int exit_status = 0;   // 128+N for signal N
  std::string snapshot;  // not empty: stopped after it, to be resumed
};

// Makes orphans of the job our children instead of init's. Before the job starts.
Result<void> BecomeSubreaper();

// Returns when the job has ended and its output has been copied. Requires: fence.HoldChildSignal() was
// called. Signals: the first SIGTERM takes a last snapshot and stops the job (when that fails the job gets
// the SIGTERM itself), the second kills the job; the one of the triggers takes a snapshot; everything else is
// passed on. What the terminal sends
// (Ctrl-C) goes to the job's process group, as it would without us; what `kill` sends goes to the job's first
// process.
Result<JobEnd> Supervise(const SupervisorOptions& options, const SignalFence& fence, JobOutput& output);

}  // namespace holdfast
