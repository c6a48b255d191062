// A hot restart, step by step.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "base/page.h"
#include "criu/find_criu.h"
#include "criu/plugin_server.h"
#include "engine/container_facts.h"
#include "engine/engine.h"
#include "engine/job_tree.h"
#include "engine/lazy_memory.h"
#include "engine/memory_advice.h"
#include "engine/namespace_init.h"
#include "engine/network_use.h"
#include "engine/page_servers.h"
#include "engine/private_files.h"
#include "engine/restore_command.h"
#include "engine/restored_processes.h"
#include "engine/restored_task.h"
#include "engine/restored_tracking.h"
#include "engine/scratch_directory.h"
#include "engine/snapshot_images.h"
#include "files/files.h"
#include "linux/affinity.h"
#include "linux/missing_pages.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "linux/ready_breakpoints.h"
#include "memory/fill.h"
#include "memory/shared_fill.h"

namespace holdfast {
namespace {

void Phase(const RestoreOptions& options, std::string_view name, uint64_t total = 0) {
  if (options.progress != nullptr) options.progress->Phase(name, total);
}

// A program that found a CPU feature when it started uses it for ever.
Result<void> RefuseOtherMachine(const Manifest& manifest) {
  const Environment here = DescribeEnvironment();
  const Environment& there = manifest.environment;
  if (here.machine != there.machine) {
    return Fail(ErrorKind::kUnsupported, fmt::format("{} was taken on {}, this machine is {}",
                                                     manifest.id.ToString(), there.machine, here.machine));
  }
  const std::set<std::string> flags(here.cpu_flags.begin(), here.cpu_flags.end());
  std::string missing;
  for (const std::string& flag : there.cpu_flags) {
    if (!flags.contains(flag)) missing += " " + flag;
  }
  if (missing.empty()) return {};
  return Fail(ErrorKind::kUnsupported,
              fmt::format("{} was taken on a CPU ({}) with features that this one ({}) lacks:{}",
                          manifest.id.ToString(), there.cpu_model, here.cpu_model, missing))
      .WithHint("restart it on a machine with the same or a newer type of CPU");
}

struct TakenPids {
  std::string text;         // "12 (bash), 13 (cat)"
  bool all_zombies = true;  // ended, and only waiting to be collected
  int count = 0;
};

TakenPids FindTakenPids(const std::vector<ProcessTreeEntry>& tree) {
  constexpr int kShownMax = 5;
  TakenPids taken;
  for (const ProcessTreeEntry& process : tree) {
    std::set<int32_t> ids(process.threads.begin(), process.threads.end());
    ids.insert(process.pid);
    for (const int32_t id : ids) {
      const Result<ProcessStatus> holder = ReadStatus(id);
      if (!holder) continue;
      taken.all_zombies = taken.all_zombies && holder->zombie();
      if (++taken.count > kShownMax) continue;
      taken.text += fmt::format("{}{} ({})", taken.text.empty() ? "" : ", ", id, holder->name);
    }
  }
  if (taken.count > kShownMax) taken.text += ", ...";
  return taken;
}

// A job that was killed a moment ago may still wait for its parent to collect it; that is waited for.
Result<void> RefuseTakenPids(const Manifest& manifest, const std::vector<ProcessTreeEntry>& tree) {
  const Stopwatch waited;
  TakenPids taken = FindTakenPids(tree);
  while (taken.count > 0 && taken.all_zombies && waited.ElapsedMs() < limits::kCollectSecondsMax * 1000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    taken = FindTakenPids(tree);
  }
  if (taken.count == 0) return {};
  return Fail(ErrorKind::kExists,
              fmt::format("process ids of {} are taken: {}", manifest.id.ToString(), taken.text))
      .WithHint("stop those processes, or give the job a pid namespace of its own: --pid-mode new-ns");
}

// Itself, or the command that a script around it ran.
bool WasKilled(int wait_status) {
  constexpr int kKilledBySignal = 128;
  return WIFSIGNALED(wait_status) || WEXITSTATUS(wait_status) > kKilledBySignal;
}

// For filling it while it stands still.
Result<Fd> MakeFillingUserfaultfd(const RestoredTask& task) {
  Fd userfaultfd = TRY(MakeUserfaultfd(task, FaultsOf::kInstructions));
  TRY(MissingPages(userfaultfd.get()).Enable(MissingPages::Events::kNone));
  return userfaultfd;
}

class Restart {
 public:
  Restart(const Store& store, const Manifest& manifest, const BlockReader& blocks,
          const RestoreOptions& options, std::vector<BindMount> mounts,
          std::optional<std::vector<IpAddress>> network)
      : store_(store),
        manifest_(manifest),
        blocks_(blocks),
        options_(options),
        mounts_(std::move(mounts)),
        network_(std::move(network)) {
    for (const AddressSpace& space : manifest.address_spaces) {
      for (const Extent& extent : space.extents) total_ += extent.pages * kPageBytes;
    }
    tracking_.base = manifest.id;
    lazy_wanted_ = options.memory == MemoryComes::kLater ||
                   (options.memory == MemoryComes::kAuto && total_ >= limits::kLaterMemoryBytesMin);
  }

  Result<RestoreReport> Run(const CriuInstallation& criu, const ScratchDirectory& images,
                            const RebuiltImages& rebuilt) {
    PluginServer server = TRY(PluginServer::Listen(images.path()));
    const Fd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.valid()) return FailErrno("cannot open /dev/null");
    std::optional<NamespaceInit> init;
    if (options_.pid_mode == PidMode::kNewNamespace) {
      init.emplace(TRY(NamespaceInit::Start(manifest_.root_pid, mounts_, network_)));
    }
    const RestoreCommand command = TRY(RestoreCommand::Make({.manifest = manifest_,
                                                             .options = options_,
                                                             .criu = criu,
                                                             .socket_path = server.path(),
                                                             .directory = images.path(),
                                                             .null = null.get(),
                                                             .enter_namespaces_of = init ? init->pid() : 0,
                                                             .enter_network = network_.has_value()}));
    Phase(options_, "restore", total_);
    const ReadyBreakpoints ready;
    RestoredProcesses restored = TRY(RestoredProcesses::Await());
    Subprocess child = TRY(command.Start());
    Result<void> served = Serve(server, child, rebuilt);
    // Its processes and its end of the line die with CRIU: when it was killed, what we met is an echo of
    // that.
    constexpr int kLastMilliseconds = 100;
    const bool ended = WaitForEnd(child.pidfd().get(), served ? 0 : kLastMilliseconds).has_value();
    server.HangUp();
    if (!served && !command.EndsByItself(child)) child.Kill();
    const int status = TRY(child.Wait());
    if (!served || status != 0) command.CleanUp();
    if (!served && !(ended && WasKilled(status))) return Error(served.error());
    if (status != 0) return command.Explain(status);
    if (report_.root_pid == 0) return Fail(ErrorKind::kCriu, "criu restored no process");
    if (!lazy_.empty()) return Fail(ErrorKind::kCriu, "criu restored some of the processes only");
    restored.Keep();
    if (!tracking_.tasks.empty()) options_.keep_tracking(std::move(tracking_));
    report_.child_pid = init ? init->pid() : report_.root_pid;
    if (init) init->Release();
    report_.bytes_restored = filled_ + report_.bytes_to_come;
    return std::move(report_);
  }

 private:
  Result<void> Serve(PluginServer& server, const Subprocess& criu, const RebuiltImages& rebuilt) {
    for (;;) {
      std::optional<PluginMessage> message =
          TRY(server.Next(criu.pidfd(), limits::kCriuDumpSecondsMax * 1000));
      if (!message) return {};
      if (message->request.kind != PluginRequestKind::kRestored) {
        TRY(server.Reply(PluginReplyKind::kProceed));
        continue;
      }
      const pid_t in_namespace = TRY(ReadStatus(message->pid)).namespace_pids.back();
      const RestoredTask task{message->pid, in_namespace, server, criu.pidfd()};
      Result<void> completed = Complete(task, rebuilt);
      if (completed) completed = GiveAdviceAgain(task);
      if (completed) {
        Track(task, rebuilt.pages);
        completed = ServePagesOfAll();
      }
      if (!completed) {
        (void)server.Reply(PluginReplyKind::kAbort);
        return completed;
      }
      TRY(server.Reply(PluginReplyKind::kProceed));
    }
  }

  // What CRIU leaves to us in a process that is otherwise there, and stopped. The root comes first.
  Result<void> Complete(const RestoredTask& task, const RebuiltImages& rebuilt) {
    if (report_.root_pid == 0) {
      report_.root_pid = task.pid;
      if (options_.before_it_runs) TRY(options_.before_it_runs(task.pid));
    }
    BindThreads(task);
    for (const SharedMemoryPlace& place : rebuilt.shared) {
      if (place.pid != task.pid_in_namespace) continue;
      TRY(FillSharedObject(task.pid, place.address, *place.object, manifest_, blocks_));
    }
    return Fill(task, rebuilt.pages);
  }

  Result<void> GiveAdviceAgain(const RestoredTask& task) {
    for (const std::string& failed : TRY(GiveAdvice(manifest_, task))) {
      if (options_.progress != nullptr) options_.progress->Note(failed);
    }
    return {};
  }

  // It is no error if that cannot be: then the next checkpoint looks at all memory.
  void Track(const RestoredTask& task, const CriuPages& pages) {
    const AddressSpace* space = SpaceOf(task);
    if (!options_.keep_tracking || space == nullptr || IsLazy(task)) return;
    if (!IsToBeTracked(task, manifest_).value_or(false)) return;
    Result<WriteTracking> tracking = TrackFromRestart(task, *space, NotOurs(task, pages));
    if (!tracking) return;
    Result<KeptTracking::Task> kept = Keep(task.pid, *std::move(tracking));
    if (kept) tracking_.tasks.push_back(*std::move(kept));
  }

  bool IsLazy(const RestoredTask& task) const {
    return std::any_of(lazy_.begin(), lazy_.end(), [&](const LazyTask& one) { return one.pid == task.pid; });
  }

  // None: a zombie.
  const AddressSpace* SpaceOf(const RestoredTask& task) const {
    const auto space =
        std::find_if(manifest_.address_spaces.begin(), manifest_.address_spaces.end(),
                     [&](const AddressSpace& one) { return one.pid == task.pid_in_namespace; });
    return space == manifest_.address_spaces.end() ? nullptr : &*space;
  }

  // The pages that CRIU has restored.
  static const std::set<uint64_t>& NotOurs(const RestoredTask& task, const CriuPages& pages) {
    static const std::set<uint64_t> kNone;
    const auto of_task = pages.by_task.find(task.pid_in_namespace);
    return of_task == pages.by_task.end() ? kNone : of_task->second;
  }

  // CRIU 4.1 restores no CPU affinity. A CPU that is not there (any more) binds nothing: said, and left.
  void BindThreads(const RestoredTask& task) {
    for (const ProcessInfo& process : manifest_.processes) {
      if (process.pid != task.pid_in_namespace || process.bindings.empty()) continue;
      std::map<pid_t, pid_t> threads;  // the job's id -> ours
      for (const pid_t thread : ReadThreads(task.pid).value_or(std::vector<pid_t>{})) {
        const Result<ProcessStatus> status = ReadStatus(thread);
        if (status) threads[status->namespace_pids.back()] = thread;
      }
      for (const ProcessInfo::Binding& binding : process.bindings) {
        const auto thread = threads.find(binding.thread);
        if (thread == threads.end()) continue;
        const Result<CpuMask> cpus = ParseCpuList(binding.cpus);
        const Result<void> bound = cpus ? SetAffinity(thread->second, *cpus) : Result<void>(cpus.error());
        if (!bound && options_.progress != nullptr) options_.progress->Note(bound.error().message);
      }
    }
  }

  Result<void> Fill(const RestoredTask& task, const CriuPages& pages) {
    if (options_.progress != nullptr) {
      if (options_.progress->Cancelled()) return Fail(ErrorKind::kInterrupted, "interrupted");
      options_.progress->Advance(filled_);
    }
    const AddressSpace* space = SpaceOf(task);
    if (space == nullptr) return {};
    ++spaces_filled_;
    return FillOne(task, *space, pages);
  }

  // After the last one: when it is let go on, so are the others.
  Result<void> ServePagesOfAll() {
    if (lazy_.empty() || spaces_filled_ < manifest_.address_spaces.size()) return {};
    TRY(StartPageServers({.store = store_,
                          .manifest = manifest_,
                          .root_pid = report_.root_pid,
                          .fill_record = options_.fill_record,
                          .first_touches = options_.first_touches,
                          .keep_tracking = options_.keep_tracking},
                         lazy_, tracking_));
    lazy_.clear();
    tracking_.tasks.clear();
    return {};
  }

  Result<void> FillOne(const RestoredTask& task, const AddressSpace& space, const CriuPages& pages) {
    const std::set<uint64_t>& skip = NotOurs(task, pages);
    if (lazy_wanted_) {
      const bool track = options_.keep_tracking && IsToBeTracked(task, manifest_).value_or(false);
      Result<LazyTask> lazy = MakeLazy(task, manifest_, space, track);
      if (!lazy && lazy.error().kind != ErrorKind::kUnsupported) return std::move(lazy).error();
      if (lazy) {
        TRY(FillMemory(task.pid, lazy->now, skip, manifest_, blocks_, nullptr, filled_));
        report_.bytes_to_come += lazy->missing.bytes();
        lazy_.push_back(*std::move(lazy));
        return {};
      }
    }
    const Result<Fd> userfaultfd = MakeFillingUserfaultfd(task);
    std::optional<MissingPages> missing;
    if (userfaultfd) missing.emplace(userfaultfd->get());
    return FillMemory(task.pid, space, skip, manifest_, blocks_, missing ? &*missing : nullptr, filled_);
  }

  const Store& store_;
  const Manifest& manifest_;
  const BlockReader& blocks_;
  const RestoreOptions& options_;
  const std::vector<BindMount> mounts_;
  const std::optional<std::vector<IpAddress>> network_;  // the job's own
  bool lazy_wanted_ = false;
  std::vector<LazyTask> lazy_;  // whose memory is to come while they run, from page servers to be started
  KeptTracking tracking_;
  size_t spaces_filled_ = 0;
  uint64_t total_ = 0;
  std::atomic<uint64_t> filled_{0};
  RestoreReport report_;
};

Result<std::vector<std::string>> PutBack(const Manifest& manifest, const BlockReader& blocks,
                                         const RestoreOptions& options, const Store& store) {
  if (options.container) {
    return PutFilesBack(manifest.files, manifest.directories, manifest.trees, blocks,
                        options.container->bundle.rootfs, options.progress);
  }
  std::vector<std::string> trees;
  for (const FileTree& tree : manifest.trees) trees.push_back(tree.path);
  TRY(RefuseTreesAround(store, trees));
  const bool own = !options.private_files.empty();
  const std::vector<FileState> files =
      own ? TRY(FilesToCopy(manifest.files, options.private_files, options.private_trees)) : manifest.files;
  return PutFilesBack(files, manifest.directories, manifest.trees, blocks, options.private_files,
                      options.progress);
}

}  // namespace

Result<RestoreReport> Restore(const Store& store, const Manifest& manifest, const RestoreOptions& options) {
  const Stopwatch total;
  TRY(RefuseOtherKind(manifest, options));
  if (options.container && HasContainer(options.container->id, options.container->root)) {
    return Fail(ErrorKind::kExists, fmt::format("there is a container {} already", options.container->id))
        .WithHint(fmt::format("give it another ID, or remove that one: runc --root {} delete {}",
                              options.container->root, options.container->id));
  }
  const CriuInstallation criu = TRY(FindCriu());
  TRY(RefuseOtherMachine(manifest));
  const std::unique_ptr<BlockReader> blocks = TRY(store.OpenBlocks(manifest));
  if (options.pid_mode == PidMode::kSame && !options.container)
    TRY(RefuseTakenPids(manifest, TRY(ReadProcessTree(manifest, *blocks))));
  const ScratchDirectory images = TRY(ScratchDirectory::Make(store, "restore"));
  Phase(options, "images");
  const RebuiltImages rebuilt = TRY(RebuildImages(images.path(), manifest, *blocks));
  std::vector<std::string> files_put_back;
  Phase(options, "files");
  if (!options.keep_files) files_put_back = TRY(PutBack(manifest, *blocks, options, store));
  if (manifest.engine_facts.contains("tcp-established") && !options.private_network &&
      IsInMachineNetwork(manifest)) {
    TRY(EndLeftConnections(manifest, *blocks));
  }
  std::vector<BindMount> mounts;
  if (!options.private_files.empty()) {
    mounts = TRY(MountsOf(options.private_files, options.private_trees, options.jobs_directory,
                          options.job_directory, files_put_back));
  }
  if (!options.fill_record.empty()) std::filesystem::remove(options.fill_record);
  std::optional<std::vector<IpAddress>> network;
  if (options.private_network) network = TRY(AddressesOf(manifest, *blocks));
  RestoreReport report = TRY(Restart(store, manifest, *blocks, options, std::move(mounts), std::move(network))
                                 .Run(criu, images, rebuilt));
  report.files_put_back = std::move(files_put_back);
  report.restart_ms = total.ElapsedMs();
  return report;
}

}  // namespace holdfast
