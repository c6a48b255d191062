#include "engine/precopy.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "base/units.h"
#include "linux/run_apart.h"
#include "linux/stopped_process.h"
#include "memory/drain.h"
#include "memory/known_pages.h"
#include "memory/smaps_cache.h"

namespace holdfast {
namespace {

// A twin that is made sooner than this is not worth a second stop.
constexpr double kWorthwhileMs = 10;
constexpr int kRoundsMax = 3;
constexpr int kRoundsForBudgetMax = 8;
// A capture that is quicker than this is not worth another round.
constexpr double kQuickMs = 3;
// A training that writes all of its parameters in every step does so in the next hundred, too.
constexpr int kSparedCheckpoints = 10;

class TaskPreCopy {
 public:
  // `others_ms`: what the freeze is expected to take without this process's memory.
  TaskPreCopy(pid_t pid, double others_ms, PendingSnapshot& pending, const CheckpointOptions& options,
              PreCopied& report)
      : pid_(pid), others_ms_(others_ms), pending_(pending), options_(options), report_(report) {}

  Result<void> Begin() {
    const Stopwatch stopped;
    const Result<void> begun = RunApart([this]() -> Result<void> {
      const StoppedProcess process = TRY(StoppedProcess::Stop(pid_, limits::kStopMillisecondsMax));
      tracking_.emplace(TRY(WriteTracking::Begin(pid_, process)));
      return tracking_->Register(TRY(ReadMaps(pid_)));
    });
    report_.stopped_ms += stopped.ElapsedMs();
    TRY(begun);
    return Arm();
  }

  // False: what was kept is of no use any more.
  bool Continue(Fd userfaultfd, const std::vector<Mapping>& mappings) {
    if (!userfaultfd.valid()) return false;
    tracking_.emplace(WriteTracking::Continue(pid_, std::move(userfaultfd)));
    if (tracking_->IsCurrent(mappings).value_or(false)) return true;
    tracking_.reset();
    return false;
  }
  // `known`: pages of the snapshot since which writes have been tracked.
  void Know(std::vector<Extent> known) { known_ = std::move(known); }

  // Stores what has been written, if that is more than little. Nothing: it has ended.
  Result<std::optional<TrackedTask>> Run() {
    if (!Expect()) return std::optional<TrackedTask>();
    if (left_bytes_ <= limits::kLittleMemoryBytes || !IsWorthwhile(left_bytes_, left_bytes_))
      return Tracked();
    if (!RegisterNew() || !Arm()) return std::optional<TrackedTask>();
    return RunRounds();
  }

  // The same for one that has just begun. Nothing: it is better captured whole.
  Result<std::optional<TrackedTask>> RunFirst() {
    if (!IsWorthwhile(TotalBytes(written_), 0)) return std::optional<TrackedTask>();
    return RunRounds();
  }

  // Stores nothing. Nothing: it is better captured whole.
  Result<std::optional<TrackedTask>> RunNone() {
    if (!Expect() || expected_.way == CaptureChoice::Way::kWholeTwin) return std::optional<TrackedTask>();
    return Tracked();
  }

 private:
  std::optional<TrackedTask> Tracked() {
    const bool in_vain =
        stored_bytes_ > 0 && left_bytes_ > stored_bytes_ / 2 && left_bytes_ > limits::kLittleMemoryBytes;
    const bool copied = expected_.way == CaptureChoice::Way::kCopy;
    const uint64_t to_copy_bytes = copied ? left_bytes_ : TotalBytes(expected_.plan.copied);
    return TrackedTask{.tracking = std::move(tracking_),
                       .known = std::move(known_),
                       .expected = std::move(expected_),
                       .to_copy_bytes = to_copy_bytes,
                       .rounds = rounds_,
                       .in_vain = in_vain};
  }

  Result<std::optional<TrackedTask>> RunRounds() {
    for (;;) {
      ++rounds_;
      // Whatever writes without leaving a mark began before the protection, and is over after this.
      if (!PassStop()) return std::optional<TrackedTask>();
      TRY(StoreWritten());
      const uint64_t before = TotalBytes(written_);
      if (!Expect()) return std::optional<TrackedTask>();  // it has ended
      if (!AnotherHelps(before)) return Tracked();
      if (!Arm()) return std::optional<TrackedTask>();
    }
  }

  // Another round helps as long as less and less is left. `before`: what the last one stored.
  bool AnotherHelps(uint64_t before) const {
    if (left_bytes_ <= limits::kLittleMemoryBytes || expected_.predicted_ms <= kQuickMs) return false;
    const double expected_ms = others_ms_ + report_.stopped_ms + expected_.predicted_ms;
    const bool too_long = options_.freeze_budget_ms > 0 && expected_ms > options_.freeze_budget_ms;
    if (too_long) return rounds_ < kRoundsForBudgetMax && left_bytes_ <= before / 4 * 3;
    return rounds_ < kRoundsMax && left_bytes_ <= before / 2;
  }

  // How long it would take to capture what is written by now.
  Result<void> Expect() {
    const std::vector<Mapping> mappings = TRY(ReadMaps(pid_));
    const std::vector<PageRun> written = TRY(tracking_->Written(mappings));
    if (smaps_.empty()) smaps_ = TRY(ReadSmaps(pid_));
    expected_ = ChooseCapture(ComposeSmaps(smaps_, mappings).details, written, {.asked = options_.capture});
    left_bytes_ = TotalBytes(written);
    return {};
  }

  Result<void> Arm() {
    WriteTracking::Armed armed = TRY(tracking_->Arm(TRY(ReadMaps(pid_))));
    known_ = Without(Without(known_, armed.written), armed.emptied);
    written_ = std::move(armed.written);
    return {};
  }

  Result<void> RegisterNew() {
    const Stopwatch stopped;
    const StoppedProcess process = TRY(StoppedProcess::Stop(pid_, limits::kStopMillisecondsMax));
    Result<void> registered = tracking_->Register(TRY(ReadMaps(pid_)));
    report_.stopped_ms += stopped.ElapsedMs();
    return registered;
  }

  Result<void> PassStop() {
    const Stopwatch stopped;
    const Result<StoppedProcess> process = StoppedProcess::Stop(pid_, limits::kStopMillisecondsMax);
    report_.stopped_ms += stopped.ElapsedMs();
    if (!process) return Error(process.error());
    return {};
  }

  Result<uint64_t> WrittenBytes() const { return TotalBytes(TRY(tracking_->Written(TRY(ReadMaps(pid_))))); }

  // Not when most of it will have been written again by the time that it is stored. `before`: what counts as
  // written already.
  bool IsWorthwhile(uint64_t bytes, uint64_t before) const {
    if (AlwaysPreCopies(options_.capture)) return true;
    constexpr auto kFirst = std::chrono::milliseconds(10);
    constexpr auto kSecond = std::chrono::milliseconds(30);
    constexpr double kStoredBytesPerMs = 600e3;
    constexpr double kShareMax = 0.5;
    std::this_thread::sleep_for(kFirst);
    const auto early = static_cast<double>(WrittenBytes().value_or(bytes));
    std::this_thread::sleep_for(kSecond);
    const auto late = static_cast<double>(WrittenBytes().value_or(bytes));
    const auto all = static_cast<double>(bytes);
    // Who writes the same pages over and over has soon written them all.
    const double per_ms = (late - early) / static_cast<double>(kSecond.count());
    const double expected = late - static_cast<double>(before) + per_ms * (all / kStoredBytesPerMs);
    return expected <= all * kShareMax;
  }

  Result<void> StoreWritten() {
    std::atomic<uint64_t> stored = 0;
    const auto advanced = [&](uint64_t bytes) {
      const uint64_t now = stored += bytes;
      if (options_.progress != nullptr) options_.progress->Advance(report_.bytes + now);
    };
    std::vector<Extent> extents = TRY(DrainRunning(pid_, written_, pending_, advanced, options_.progress));
    known_.insert(known_.end(), extents.begin(), extents.end());
    SortExtents(known_);
    report_.bytes += stored;
    stored_bytes_ += stored;
    return {};
  }

  const pid_t pid_;
  const double others_ms_;
  PendingSnapshot& pending_;
  const CheckpointOptions& options_;
  PreCopied& report_;
  std::optional<WriteTracking> tracking_;
  std::vector<PageRun> written_;
  std::vector<Extent> known_;
  std::vector<MappingDetail> smaps_;
  CaptureChoice expected_;
  uint64_t left_bytes_ = 0;
  uint64_t stored_bytes_ = 0;
  int rounds_ = 0;
};

// The descriptor that was kept for this process; none: an invalid one.
Fd TakeKept(std::vector<KeptTracking::Task>& kept, const ProcessStatus& status) {
  for (KeptTracking::Task& task : kept) {
    if (task.pid == status.pid && task.start_ticks == status.start_ticks) return std::move(task.userfaultfd);
  }
  return Fd();
}

// What the parent has of a process's memory.
Result<std::vector<Extent>> ReuseExtents(const Manifest& parent, pid_t pid, PendingSnapshot& pending) {
  for (const AddressSpace& space : parent.address_spaces) {
    if (space.pid != pid) continue;
    std::vector<Extent> extents = space.extents;
    for (Extent& extent : extents) {
      if (extent.block != kZeroBlock) extent.block = TRY(pending.ReuseBlock(parent.blocks[extent.block]));
    }
    return extents;
  }
  return std::vector<Extent>();
}

std::string SparedFact(pid_t pid_in_namespace) {
  return fmt::format("precopy-spared-{}", pid_in_namespace);
}

std::string TrackedFact(pid_t pid_in_namespace) {
  return fmt::format("tracked-{}", pid_in_namespace);
}

// For how many checkpoints more, this one included.
int Spared(const Manifest* parent, pid_t pid_in_namespace) {
  if (parent == nullptr) return 0;
  const auto fact = parent->engine_facts.find(SparedFact(pid_in_namespace));
  return fact == parent->engine_facts.end() ? 0 : std::atoi(fact->second.c_str());
}

bool TakesLong(pid_t pid, double others_ms, double budget_ms) {
  const Result<std::vector<MappingDetail>> details = ReadSmaps(pid);
  if (!details) return false;
  const double worthwhile_ms =
      budget_ms > 0 ? std::clamp(budget_ms - others_ms, 1.0, kWorthwhileMs) : kWorthwhileMs;
  return PredictWholeTwinMs(*details) >= worthwhile_ms;
}

}  // namespace

Result<PreCopied> PreCopy(const JobTree& tree, const Manifest* parent, double rest_ms,
                          SharedMemoryCapture& shared, PendingSnapshot& pending,
                          const CheckpointOptions& options) {
  PreCopied report;
  std::vector<KeptTracking::Task> kept;
  if (options.tracking != nullptr) {
    kept = std::exchange(options.tracking->tasks, {});
    if (parent == nullptr || options.tracking->base != parent->id) kept.clear();
  }
  const bool always = AlwaysPreCopies(options.capture);
  if (options.capture != CaptureWay::kAuto && !always) return report;
  if (options.progress != nullptr) options.progress->Phase("pre-copy", tree.resident_bytes);
  SharedMemoryCapture::Prepared prepared =
      TRY(shared.PrepareRunning(tree.pids, pending, always, options.progress));
  report.stopped_ms += prepared.stopped_ms;
  report.bytes += prepared.bytes;
  std::erase_if(kept,
                [&prepared](const KeptTracking::Task& task) { return prepared.confused.contains(task.pid); });
  double others_ms = rest_ms;
  for (const pid_t pid : tree.pids) {
    const Result<std::vector<Mapping>> mappings = ReadMaps(pid);
    const Result<ProcessStatus> status = ReadStatus(pid);
    if (!mappings || !status || HasInvisibleWriters(*mappings)) continue;
    const pid_t pid_in_namespace = status->namespace_pids.back();
    const int spared = always ? 0 : Spared(parent, pid_in_namespace);
    if (spared > 0) report.spared[pid_in_namespace] = spared - 1;
    TaskPreCopy precopy(pid, others_ms, pending, options, report);
    std::optional<TrackedTask> task;
    if (precopy.Continue(TakeKept(kept, *status), *mappings)) {
      precopy.Know(TRY(ReuseExtents(*parent, pid_in_namespace, pending)));
      task = spared > 0 ? TRY(precopy.RunNone()) : TRY(precopy.Run());
    } else if (spared == 0 && (always || TakesLong(pid, others_ms, options.freeze_budget_ms)) &&
               precopy.Begin()) {
      task = TRY(precopy.RunFirst());
    } else {
      continue;
    }
    if (spared == 0 && !always && (!task || task->in_vain)) {
      report.spared[pid_in_namespace] = kSparedCheckpoints;
    }
    if (!task) continue;
    task->pid_in_namespace = pid_in_namespace;
    others_ms += task->expected.predicted_ms;
    report.rounds = std::max(report.rounds, task->rounds);
    report.tasks.emplace(pid, *std::move(task));
  }
  return report;
}

void RecordTracking(const PreCopied& precopied, std::map<std::string, std::string>& facts) {
  for (const auto& [pid, checkpoints] : precopied.spared) {
    if (checkpoints > 0) facts[SparedFact(pid)] = std::to_string(checkpoints);
  }
  for (const auto& [pid, task] : precopied.tasks) {
    if (!task.in_vain) facts.emplace(TrackedFact(task.pid_in_namespace), "1");
  }
}

bool WasTracked(const Manifest& manifest, pid_t pid_in_namespace) {
  return manifest.engine_facts.contains(TrackedFact(pid_in_namespace));
}

void LeaveTracking(PreCopied& precopied, const SnapshotId& base, const CheckpointOptions& options) {
  if (options.tracking != nullptr) options.tracking->base = base;
  for (auto& [pid, task] : precopied.tasks) {
    const Result<ProcessStatus> status = ReadStatus(pid);
    // Where nearly all is written again, tracking costs the job more than it saves.
    const bool of_use = !task.in_vain || task.expected.way != CaptureChoice::Way::kWholeTwin;
    if (options.tracking != nullptr && status && task.tracking && of_use) {
      options.tracking->tasks.push_back({pid, status->start_ticks, std::move(*task.tracking).Release()});
    }
    task.tracking.reset();
  }
}

}  // namespace holdfast
