#include "job/roll_back.h"

#include <chrono>
#include <thread>

#include "base/clock.h"
#include "job/checkpoint_job.h"
#include "job/checkpoint_target.h"
#include "job/job_book.h"
#include "linux/kill_tree.h"

namespace holdfast {

namespace {

bool IsThere(const JobBook& book, const JobRecord& record) {
  const JobState state = book.StateOf(record);
  return state == JobState::kRunning || state == JobState::kUnsupervised || IsAlive(record.supervisor);
}

Result<void> WaitUntilGone(const JobBook& book, const JobRecord& record) {
  constexpr double kMillisecondsMax = 60'000;
  const Stopwatch waited;
  while (IsThere(book, record)) {
    if (waited.ElapsedMs() > kMillisecondsMax) {
      return Fail(ErrorKind::kBusy, "'" + record.name + "' was stopped, but is still there (pid " +
                                        std::to_string(record.job.pid) + ")")
          .WithHint("see what holds it: 'ps " + std::to_string(record.job.pid) + "'; then try again");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return {};
}

}  // namespace

Result<void> StopForRollBack(Store& store, const std::string& name, const StopOptions& options) {
  const JobBook book(store.JobsDirectory());
  if (!book.Has(name)) return {};
  const JobRecord record = TRY(book.Load(name));
  const JobState state = book.StateOf(record);
  if (state != JobState::kRunning && state != JobState::kUnsupervised) return {};
  if (record.container) {
    return Fail(ErrorKind::kUnsupported, "'" + name + "' is a container, which goes on as a new one only")
        .WithHint("stop it ('holdfast checkpoint " + name + " --stop'), then 'holdfast resume " + name +
                  "@N --container NEWID --bundle DIR'");
  }
  TRY(RequireRoot("a rollback"));
  if (options.discard) {
    KillTree(record.job.pid);
  } else {
    CheckpointRequest request;
    request.name = name;
    request.stop = true;
    request.progress = options.progress;
    Result<JobCheckpoint> last = CheckpointJob(store, request);
    if (!last) {
      return std::move(last)
          .error()
          .Within("no last snapshot of '" + name + "', which runs on")
          .WithHint("--discard rolls back without one");
    }
    options.notices(NoticeKind::kNews,
                    "stopped '" + name + "'; what it had reached is " + last->manifest.id.ToString());
  }
  return WaitUntilGone(book, record);
}

}  // namespace holdfast
