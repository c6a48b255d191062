// What starting a job and resuming one have in common: from "it runs, and its record is written" to its exit
// status.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "job/job_book.h"
#include "job/job_output.h"
#include "job/notices.h"
#include "job/signal_fence.h"
#include "job/tracking_shelf.h"
#include "store/store.h"

namespace holdfast {

// The exit status of `run` and `resume` for a job that was stopped after a last snapshot.
inline constexpr int kExitCheckpointed = 75;

// Told as soon as the job runs.
struct StartedJob {
  std::string name{};
  pid_t pid = 0;
  pid_t supervisor_pid = 0;
  // Of a resume.
  std::string snapshot{};
  double restart_ms = 0;
  uint64_t bytes_restored = 0;
  uint64_t bytes_to_come = 0;  // of it, while the job runs
  bool private_network = false;
  std::vector<std::string> files_put_back{};
};
using OnStarted = std::function<void(const StartedJob&)>;

struct SupervisionContext {
  Store& store;
  const JobBook& book;
  const SignalFence& fence;
  const Notices& notices;
  pid_t child_pid;       // SupervisorOptions::child_pid
  TrackingShelf* shelf;  // SupervisorOptions::shelf
};

// The lock under which a job's record changes and its checkpoints and restarts happen, one after the other.
std::string JobLockName(const std::string& name);
// Waits for up to a minute while somebody else checkpoints or restarts the job; less when the user wants out.
Result<StoreLock> WaitForJobLock(Store& store, const std::string& name, const Progress* progress);

// Supervises until the end and writes it into the record.
Result<int> SuperviseToTheEnd(const SupervisionContext& context, JobRecord record, JobOutput& output);

// The supervisor of a detached job has no terminal: its own lines go to supervisor.log beside the job's.
Result<void> MoveToBackground(const std::filesystem::path& job_directory);

// Our stdin becomes /dev/null: what was there is the job's alone.
void LetGoOfStdin();

}  // namespace holdfast
