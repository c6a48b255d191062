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

namespace holdfast {
namespace {

// A twin that is made sooner than this is not worth a second stop.
constexpr double kWorthwhileMs = 10;
constexpr int kStopMillisecondsMax = 1000;
constexpr int kRoundsMax = 3;
// A training that writes all of its parameters in every step does so in the next hundred, too.
constexpr int kSparedCheckpoints = 10;

struct Residents {
  uint64_t small_bytes = 0;
  uint64_t huge_bytes = 0;
};

Residents CountResidents(const std::vector<MappingDetail>& details) {
  Residents residents;
  for (const MappingDetail& detail : details) {
    if (!IsCaptured(detail.mapping)) continue;
    residents.huge_bytes += detail.anonymous_huge_bytes;
    residents.small_bytes +=
        detail.resident_bytes - std::min(detail.resident_bytes, detail.anonymous_huge_bytes);
  }
  return residents;
}

class TaskPreCopy {
 public:
  TaskPreCopy(pid_t pid, PendingSnapshot& pending, const CheckpointOptions& options, PreCopied& report)
      : pid_(pid), pending_(pending), options_(options), report_(report) {}

  Result<void> Begin() {
    const Stopwatch stopped;
    const Result<void> begun = RunApart([this]() -> Result<void> {
      const StoppedProcess process = TRY(StoppedProcess::Stop(pid_, kStopMillisecondsMax));
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
    const Result<uint64_t> now = WrittenBytes();
    if (!now) return std::optional<TrackedTask>();
    left_bytes_ = *now;
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

 private:
  std::optional<TrackedTask> Tracked() {
    const bool in_vain =
        stored_bytes_ > 0 && left_bytes_ > stored_bytes_ / 2 && left_bytes_ > limits::kLittleMemoryBytes;
    return TrackedTask{.tracking = std::move(tracking_),
                       .known = std::move(known_),
                       .written_bytes = left_bytes_,
                       .in_vain = in_vain};
  }

  Result<std::optional<TrackedTask>> RunRounds() {
    for (int round = 1;; ++round) {
      // Whatever writes without leaving a mark began before the protection, and is over after this.
      if (!PassStop()) return std::optional<TrackedTask>();
      TRY(StoreWritten());
      const uint64_t before = TotalBytes(written_);
      const Result<uint64_t> now = WrittenBytes();
      if (!now) return std::optional<TrackedTask>();  // it has ended
      left_bytes_ = *now;
      // Another round helps as long as less and less is left.
      if (round == kRoundsMax || left_bytes_ <= limits::kLittleMemoryBytes || left_bytes_ > before / 2) break;
      if (!Arm()) return std::optional<TrackedTask>();
    }
    return Tracked();
  }

  Result<void> Arm() {
    WriteTracking::Armed armed = TRY(tracking_->Arm(TRY(ReadMaps(pid_))));
    known_ = Without(Without(known_, armed.written), armed.emptied);
    written_ = std::move(armed.written);
    return {};
  }

  Result<void> RegisterNew() {
    const Stopwatch stopped;
    const StoppedProcess process = TRY(StoppedProcess::Stop(pid_, kStopMillisecondsMax));
    Result<void> registered = tracking_->Register(TRY(ReadMaps(pid_)));
    report_.stopped_ms += stopped.ElapsedMs();
    return registered;
  }

  Result<void> PassStop() {
    const Stopwatch stopped;
    const Result<StoppedProcess> process = StoppedProcess::Stop(pid_, kStopMillisecondsMax);
    report_.stopped_ms += stopped.ElapsedMs();
    if (!process) return Error(process.error());
    return {};
  }

  Result<uint64_t> WrittenBytes() const { return tracking_->WrittenBytes(TRY(ReadMaps(pid_))); }

  // Not when most of it will have been written again by the time that it is stored. `before`: what counts as
  // written already.
  bool IsWorthwhile(uint64_t bytes, uint64_t before) const {
    if (options_.capture == CaptureWay::kPreCopy) return true;
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
  PendingSnapshot& pending_;
  const CheckpointOptions& options_;
  PreCopied& report_;
  std::optional<WriteTracking> tracking_;
  std::vector<PageRun> written_;
  std::vector<Extent> known_;
  uint64_t left_bytes_ = 0;
  uint64_t stored_bytes_ = 0;
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

bool TakesLong(pid_t pid) {
  const Result<std::vector<MappingDetail>> details = ReadSmaps(pid);
  if (!details) return false;
  const Residents residents = CountResidents(*details);
  return PredictTwinMs(residents.small_bytes, residents.huge_bytes) >= kWorthwhileMs;
}

}  // namespace

double PredictCopyMs(uint64_t bytes) {
  constexpr double kBytesPerMs = 4e6;
  return static_cast<double>(bytes) / kBytesPerMs;
}

double PredictTwinMs(uint64_t small_page_bytes, uint64_t huge_page_bytes) {
  constexpr double kBaseMs = 1;
  constexpr double kSmallBytesPerMs = 40e6;
  constexpr double kHugeBytesPerMs = 1e9;
  return kBaseMs + static_cast<double>(small_page_bytes) / kSmallBytesPerMs +
         static_cast<double>(huge_page_bytes) / kHugeBytesPerMs;
}

Result<PreCopied> PreCopy(const JobTree& tree, const Manifest* parent, SharedMemoryCapture& shared,
                          PendingSnapshot& pending, const CheckpointOptions& options) {
  PreCopied report;
  std::vector<KeptTracking::Task> kept;
  if (options.tracking != nullptr) {
    kept = std::exchange(options.tracking->tasks, {});
    if (parent == nullptr || options.tracking->base != parent->id) kept.clear();
  }
  if (options.capture != CaptureWay::kAuto && options.capture != CaptureWay::kPreCopy) return report;
  if (options.progress != nullptr) options.progress->Phase("pre-copy", tree.resident_bytes);
  const bool always = options.capture == CaptureWay::kPreCopy;
  SharedMemoryCapture::Prepared prepared =
      TRY(shared.PrepareRunning(tree.pids, pending, always, options.progress));
  report.stopped_ms += prepared.stopped_ms;
  report.bytes += prepared.bytes;
  std::erase_if(kept,
                [&prepared](const KeptTracking::Task& task) { return prepared.confused.contains(task.pid); });
  for (const pid_t pid : tree.pids) {
    const Result<std::vector<Mapping>> mappings = ReadMaps(pid);
    const Result<ProcessStatus> status = ReadStatus(pid);
    if (!mappings || !status || HasInvisibleWriters(*mappings)) continue;
    const pid_t pid_in_namespace = status->namespace_pids.back();
    if (const int spared = Spared(parent, pid_in_namespace); spared > 0 && !always) {
      report.spared[pid_in_namespace] = spared - 1;
      continue;
    }
    TaskPreCopy precopy(pid, pending, options, report);
    std::optional<TrackedTask> task;
    if (precopy.Continue(TakeKept(kept, *status), *mappings)) {
      precopy.Know(TRY(ReuseExtents(*parent, pid_in_namespace, pending)));
      task = TRY(precopy.Run());
    } else if ((always || TakesLong(pid)) && precopy.Begin()) {
      task = TRY(precopy.RunFirst());
    } else {
      continue;
    }
    if (!always && (!task || task->in_vain)) report.spared[pid_in_namespace] = kSparedCheckpoints;
    if (!task) continue;
    task->pid_in_namespace = pid_in_namespace;
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
    if (options.tracking != nullptr && status && task.tracking && !task.in_vain) {
      options.tracking->tasks.push_back({pid, status->start_ticks, std::move(*task.tracking).Release()});
    }
    task.tracking.reset();
  }
}

}  // namespace holdfast
