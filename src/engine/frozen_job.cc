#include "engine/frozen_job.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "base/limits.h"
#include "base/units.h"
#include "criu/images.h"
#include "engine/dump_command.h"
#include "linux/cgroup.h"
#include "linux/pidfd.h"
#include "linux/ready_breakpoints.h"
#include "memory/capture_cost.h"
#include "memory/drain.h"
#include "memory/known_pages.h"
#include "memory/remote_memory.h"
#include "store/file_io.h"

namespace holdfast {
namespace {

// Up to here copying is quicker than cloning (a clone costs some 0.5 ms before it copies its first page
// table).
constexpr uint64_t kCopyBytesMax = 2 * kMiB;
constexpr uint64_t kToldBytesMin = 64 * kMiB;
constexpr uint64_t kReservedBytesMin = 8 * kMiB;
// A twin lets memory fill by what is written during the drain; this share of the job must be available to the
// machine.
constexpr double kMachineShare = 0.5;

Result<Fd> MemoryFile(std::span<const std::byte> content) {
  Fd fd(memfd_create("holdfast", MFD_CLOEXEC));
  if (!fd.valid()) return FailErrno("memfd_create");
  TRY(WriteAll(fd.get(), 0, content, "a memory file"));
  return fd;
}

struct AliveAndDead {
  std::vector<pid_t> alive;          // our pids
  std::vector<ProcessInfo> zombies;  // they stay as they are while their parents stand still
};

Result<AliveAndDead> TellApart(const std::vector<pid_t>& pids) {
  AliveAndDead all;
  for (const pid_t pid : pids) {
    const ProcessStatus status = TRY(ReadStatus(pid));
    if (status.zombie()) {
      all.zombies.push_back(TRY(DescribeProcess(status, status.namespace_pids.back())));
    } else {
      all.alive.push_back(pid);
    }
  }
  return all;
}

// Of a job that is known by another name, or to another store: what is still to come would be zeros.
Result<void> RefuseMissingMemory(pid_t pid, const std::vector<MappingDetail>& details) {
  for (const MappingDetail& detail : details) {
    if (!detail.Has("um")) continue;
    return Fail(ErrorKind::kBusy,
                fmt::format("memory of process {} is still being brought in by page servers", pid))
        .WithHint("try again when it is there");
  }
  return {};
}

}  // namespace

FrozenJob::FrozenJob(const CheckpointOptions& options, JobTree tree, PreCopied& precopied,
                     PendingSnapshot& pending, SharedMemoryCapture& shared, FileCapture& files,
                     const ScratchDirectory& images, const CriuInstallation& criu)
    : options_(options),
      tree_(std::move(tree)),
      precopied_(precopied),
      pending_(pending),
      shared_(shared),
      files_(files),
      images_(images),
      criu_(criu) {}

Result<Captured> FrozenJob::CaptureAndRelease() {
  for (const pid_t pid : tree_.pids) {
    Result<std::vector<MappingDetail>> smaps = ReadSmaps(pid);
    if (!smaps) continue;
    TRY(RefuseMissingMemory(pid, *smaps));
    smaps_before_[pid] = *std::move(smaps);
  }

  ReserveRoom();

  PluginServer server = TRY(PluginServer::Listen(images_.path()));
  const DumpCommand dump(options_, tree_, criu_, server.path(), images_.path());
  const ReadyBreakpoints ready;
  Subprocess criu = TRY(dump.Start());
  const Result<void> served = ServePlugin(server, criu);
  server.HangUp();
  // Hung up on, CRIU lets the tree go and ends; killed, it would leave the tree as it is.
  if (!WaitForEnd(criu.pidfd().get(), limits::kReleaseSecondsMax * 1000)) criu.Kill();
  const int status = TRY(criu.Wait());
  if (failure_) return *std::move(failure_);
  if (!served) return Error(served.error());
  if (status != 0) return dump.Explain(status);
  if (captured_.tasks.empty()) return Fail(ErrorKind::kCriu, "CRIU did not load Holdfast's plugin");
  captured_.freeze_ms = TRY(ParseFreezeMs(TRY(ReadWholeFile(images_.path() + "/stats-dump"))));
  return std::move(captured_);
}

// For twice what was to be copied when it was last looked at: it writes on until the freeze.
void FrozenJob::ReserveRoom() {
  for (const auto& [pid, tracked] : precopied_.tasks) {
    reserved_[pid].Reserve(2 * tracked.to_copy_bytes + kReservedBytesMin);
  }
}

Result<void> FrozenJob::ServePlugin(PluginServer& server, const Subprocess& criu) {
  for (;;) {
    std::optional<PluginMessage> message = TRY(server.Next(criu.pidfd(), limits::kCriuDumpSecondsMax * 1000));
    if (!message) return {};
    Result<void> handled = Handle(server, *message);
    if (handled) continue;
    // CRIU thaws the tree when its plugin is told to stop.
    if (!failure_) failure_ = std::move(handled).error();
    TRY(server.Reply(PluginReplyKind::kAbort));
  }
}

Result<void> FrozenJob::Handle(PluginServer& server, PluginMessage& message) {
  if (options_.progress != nullptr && options_.progress->Cancelled()) {
    return Fail(ErrorKind::kInterrupted, "interrupted");
  }
  switch (message.request.kind) {
    case PluginRequestKind::kTask:
      return OnTask(server, message);
    case PluginRequestKind::kTwinMade:
      TRY(OnTwinMade(message));
      break;
    case PluginRequestKind::kSmaps:
      return OnSmaps(server, message.request);
    default:
      break;
  }
  return server.Reply(PluginReplyKind::kProceed);
}

Result<void> FrozenJob::OnTask(PluginServer& server, PluginMessage& message) {
  if (message.pid == 0) return Fail(ErrorKind::kCriu, "CRIU froze a process that cannot be found");
  TRY(CaptureOnce(message.pid));
  CapturedTask task;
  task.pid = message.pid;
  task.pid_for_criu = message.request.pid;
  task.mappings = TRY(ReadMaps(task.pid));
  task.status = TRY(ReadStatus(task.pid));
  task.pid_in_namespace = task.status.namespace_pids.back();
  task.info = TRY(Describe(task));
  TRY(ComposeSmapsOf(task));
  if (const auto tracked = precopied_.tasks.find(task.pid); tracked != precopied_.tasks.end()) {
    TRY(FindWritten(task, tracked->second));
  }
  Choose(task, static_cast<uint64_t>(message.request.result));
  captured_.tasks.push_back(std::move(task));
  CapturedTask& chosen = captured_.tasks.back();
  if (chosen.choice.way != CaptureChoice::Way::kCopy) return AskForTwin(server, chosen);
  TRY(CopyFrozen(chosen));
  chosen.capture_ms = chosen.chosen.ElapsedMs();
  return server.Reply(PluginReplyKind::kCopied);
}

Result<void> FrozenJob::AskForTwin(PluginServer& server, const CapturedTask& task) {
  shared_.BeforeTwin(task.pid);
  const std::vector<TwinRange>& left_out = task.choice.plan.left_out;
  if (left_out.empty()) return server.Reply(PluginReplyKind::kMakeTwin);
  const Fd ranges = TRY(MemoryFile(std::as_bytes(std::span(left_out))));
  return server.Reply(PluginReplyKind::kMakeTwin, ranges.get(), left_out.size());
}

// What is only shown is from before the freeze, but for processes that came since.
Result<ProcessInfo> FrozenJob::Describe(const CapturedTask& task) {
  const auto before = tree_.described.find(task.pid);
  ProcessInfo info = before != tree_.described.end()
                         ? before->second
                         : TRY(DescribeProcess(task.status, task.pid_in_namespace));
  info.resident_bytes = task.status.resident_bytes;
  info.threads.clear();
  for (const pid_t thread : TRY(ReadThreads(task.pid))) {
    const CpuMask cpus = TRY(ReadAffinity(thread));
    const bool bound = !Contains(cpus, tree_.cpus);
    pid_t in_namespace = thread;
    if (tree_.own_pid_namespace) in_namespace = TRY(ReadStatus(thread)).namespace_pids.back();
    info.threads.push_back(in_namespace);
    if (bound) info.bindings.push_back({in_namespace, FormatCpuList(cpus)});
  }
  return info;
}

// What belongs to the tree and not to one task: files and shared memory, with every process standing still.
Result<void> FrozenJob::CaptureOnce(pid_t pid) {
  if (std::exchange(captured_once_, true)) return {};
  cgroup_headroom_ = CgroupMemoryHeadroom(pid);
  if (options_.ask_frozen) captured_.annotations = options_.ask_frozen();
  tree_.pids = TRY(ReadTree(pid));
  AliveAndDead all = TRY(TellApart(tree_.pids));
  captured_.zombies = std::move(all.zombies);
  // Both look at every descriptor of every process.
  const std::jthread finder([this] { captured_.pipes = FindPipes(tree_.pids); });
  TRY(shared_.CaptureFrozen(all.alive));
  return files_.CaptureFrozen(tree_.pids);
}

Result<void> FrozenJob::ComposeSmapsOf(CapturedTask& task) {
  const auto before = smaps_before_.find(task.pid);
  if (before == smaps_before_.end()) return {};
  ComposedSmaps composed = ComposeSmaps(before->second, task.mappings);
  if (LockedBytes(composed.details) != task.status.locked_bytes) return {};
  task.told = std::move(composed);
  return {};
}

Result<void> FrozenJob::FindWritten(CapturedTask& task, TrackedTask& tracked) {
  WriteTracking::Found found =
      TRY(tracked.tracking->Find(task.mappings, /*arm=*/options_.tracking != nullptr));
  task.tracked = true;
  task.twin_runs = std::move(found.written);
  if (const auto room = reserved_.find(task.pid); room != reserved_.end()) {
    task.staged = std::move(room->second);
  }
  task.unwritten = std::move(found.unwritten);
  task.captured_bytes = TotalBytes(*task.twin_runs);
  return {};
}

void FrozenJob::Choose(CapturedTask& task, uint64_t rseq_area) {
  using Way = CaptureChoice::Way;
  task.chosen = Stopwatch();
  const auto copy = [&task](std::string reason) {
    const uint64_t bytes = task.twin_runs ? TotalBytes(*task.twin_runs) : task.status.anonymous_bytes;
    task.choice = {Way::kCopy, PredictCopyMs(bytes, task.twin_runs ? task.twin_runs->size() : 0), {}};
    task.reason = std::move(reason);
  };
  if (options_.capture == CaptureWay::kCopy) return copy("asked for");
  const bool forced = options_.capture == CaptureWay::kPartialTwin;
  if (options_.capture != CaptureWay::kTwin && !forced && task.status.anonymous_bytes <= kCopyBytesMax) {
    return copy("small");
  }
  const std::vector<MappingDetail>& details = task.told ? task.told->details : smaps_before_[task.pid];
  if (task.twin_runs && task.told) {
    task.choice =
        ChooseCapture(details, *task.twin_runs,
                      {.asked = options_.capture, .may_copy = IsToldForSure(task), .kept = {rseq_area}});
  } else {
    task.choice = {Way::kWholeTwin, PredictWholeTwinMs(details), {}};
  }
  const std::string written =
      task.twin_runs ? "pre-copied; " + FormatBytes(TotalBytes(*task.twin_runs)) + " written meanwhile" : "";
  if (task.choice.way == Way::kCopy) return copy(written);
  if (task.choice.way == Way::kPartialTwin) task.reason = written;
  if (options_.capture == CaptureWay::kTwin) return;
  if (const std::optional<std::string> no_room = NoRoomForTwin(task)) copy(*no_room);
}

// A cgroup that is full kills: there must be room for all that the twin shares, and for the job to be as
// large as ever.
std::optional<std::string> FrozenJob::NoRoomForTwin(const CapturedTask& task) {
  const bool partial = task.choice.way == CaptureChoice::Way::kPartialTwin;
  const uint64_t shared = partial ? task.choice.plan.forked_bytes : task.info.resident_bytes;
  const uint64_t grown =
      task.status.peak_resident_bytes - std::min(task.status.peak_resident_bytes, task.info.resident_bytes);
  const uint64_t in_cgroup = partial ? shared + grown : std::max(task.status.peak_resident_bytes, shared);
  if (cgroup_headroom_ && *cgroup_headroom_ < in_cgroup) {
    return fmt::format("the job's cgroup has only {} left for copies on write",
                       FormatBytes(*cgroup_headroom_));
  }
  if (cgroup_headroom_) *cgroup_headroom_ -= in_cgroup;
  const auto needed = static_cast<uint64_t>(static_cast<double>(shared) * kMachineShare);
  const Result<uint64_t> available = MemoryAvailable();
  if (available && *available < needed) {
    return fmt::format("the machine has only {} left for copies on write", FormatBytes(*available));
  }
  return std::nullopt;
}

// Into our memory when it is little or there is plenty, else straight into the store.
Result<void> FrozenJob::CopyFrozen(CapturedTask& task) {
  if (!IsToldForSure(task)) task.told.reset();
  const std::vector<PageRun> runs =
      task.twin_runs ? *std::exchange(task.twin_runs, {}) : TRY(FindPages(task.pid, task.mappings));
  const uint64_t bytes = TotalBytes(runs);
  const uint64_t available = MemoryAvailable().value_or(0);
  if (bytes > kCopyBytesMax && bytes > available / 2) {
    captured_.bytes_stored_frozen += bytes;
    task.extents = TRY(DrainProcess(
        task.pid, runs, pending_, nullptr, [](uint64_t) {}, options_.progress));
    return {};
  }
  return Stage(task, runs);
}

Result<void> FrozenJob::Stage(CapturedTask& task, const std::vector<PageRun>& runs) {
  const RemoteMemory memory = TRY(RemoteMemory::Open(task.pid));
  std::vector<StagedMemory::Wanted> wanted;
  wanted.reserve(runs.size());
  for (const PageRun& run : runs) wanted.push_back({run.address, run.bytes, run.huge});
  // What was written since the tracking began is no other process's as well.
  if (task.tracked) {
    return task.staged.CopyScattered(
        wanted, [&memory](std::span<const RemotePiece> pieces) { return memory.ReadScattered(pieces); });
  }
  return task.staged.Copy(
      wanted, [&memory](uint64_t address, std::span<std::byte> out) { return memory.Read(address, out); });
}

Result<void> FrozenJob::OnTwinMade(PluginMessage& message) {
  CapturedTask& task = captured_.tasks.back();
  if (message.request.error != 0) {
    task.reason = fmt::format("no twin: {}", FailErrno(message.request.error, "clone").message);
    task.choice.way = CaptureChoice::Way::kCopy;
    CheckMappings(task);
    TRY(CopyFrozen(task));
    task.capture_ms = task.chosen.ElapsedMs();
    return {};
  }
  if (message.pid == 0) return Fail(ErrorKind::kInternal, "the twin of the job ended at once");
  task.twin =
      TRY(MemoryTwin::Attach(message.pid, std::move(message.pidfd), task.pid, message.request.placement));
  CheckMappings(task);
  if (task.choice.way == CaptureChoice::Way::kPartialTwin) {
    task.twin_runs = std::move(task.choice.plan.in_twin);
    TRY(Stage(task, std::exchange(task.choice.plan.copied, {})));
  }
  TRY(CopyWhatTwinLacks(task));
  task.capture_ms = task.chosen.ElapsedMs();
  return {};
}

// Neighbours that the kernel had kept apart may be one mapping now, which nobody can tell. More cuts can be
// told.
void FrozenJob::CheckMappings(const CapturedTask& task) {
  if (task.choice.plan.left_out.empty()) return;
  const Result<std::vector<Mapping>> now = ReadMaps(task.pid);
  const auto by_start = [](const Mapping& a, const Mapping& b) { return a.start < b.start; };
  if (now && std::includes(task.mappings.begin(), task.mappings.end(), now->begin(), now->end(), by_start))
    return;
  captured_.warnings.push_back(
      fmt::format("the memory map of process {} is cut up more than it was before the checkpoint",
                  task.pid_in_namespace));
}

Result<void> FrozenJob::CopyWhatTwinLacks(CapturedTask& task) {
  const std::vector<Mapping> in_twin = TRY(ReadMaps(task.twin->pid()));
  std::vector<Mapping> lacking;
  auto found = in_twin.begin();
  for (const Mapping& mapping : task.mappings) {
    while (found != in_twin.end() && found->end <= mapping.start) ++found;
    // Stack guards differ, so a mapping counts as there when any part of it is.
    const bool there = found != in_twin.end() && found->start < mapping.end;
    if (IsCaptured(mapping) && !there) lacking.push_back(mapping);
  }
  const std::vector<MappingDetail>& details = task.told ? task.told->details : smaps_before_[task.pid];
  for (const MappingDetail& detail : details) {
    if (IsCaptured(detail.mapping) && HasNoContentAfterFork(detail)) lacking.push_back(detail.mapping);
  }
  if (lacking.empty()) return {};
  std::sort(lacking.begin(), lacking.end(),
            [](const Mapping& a, const Mapping& b) { return a.start < b.start; });
  lacking.erase(std::unique(lacking.begin(), lacking.end(),
                            [](const Mapping& a, const Mapping& b) { return a.start == b.start; }),
                lacking.end());
  if (!task.twin_runs) return Stage(task, TRY(FindPages(task.pid, lacking)));
  const auto lacks = [&lacking](const PageRun& run) {
    return std::any_of(lacking.begin(), lacking.end(), [&run](const Mapping& mapping) {
      return run.address >= mapping.start && run.address < mapping.end;
    });
  };
  const auto first = std::stable_partition(task.twin_runs->begin(), task.twin_runs->end(),
                                           [&lacks](const PageRun& run) { return !lacks(run); });
  const std::vector<PageRun> staged(first, task.twin_runs->end());
  task.twin_runs->erase(first, task.twin_runs->end());
  return Stage(task, staged);
}

// Without a twin to correct it by, what CRIU is told must not be guessed. Of little memory the kernel tells
// sooner than it is corrected.
bool FrozenJob::IsToldForSure(const CapturedTask& task) {
  const bool much = task.tracked || task.info.resident_bytes > kToldBytesMin;
  return much && task.told && task.told->guessed == 0;
}

Result<void> FrozenJob::OnSmaps(PluginServer& server, const PluginRequest& request) {
  for (const CapturedTask& task : captured_.tasks) {
    if (task.pid_for_criu != request.pid || !task.told) continue;
    const Fd file = TRY(MemoryFile(std::as_bytes(std::span(task.told->text))));
    return server.Reply(PluginReplyKind::kProceed, file.get());
  }
  return server.Reply(PluginReplyKind::kUseKernel);
}

}  // namespace holdfast
