#include "cli/resume_options.h"

#include <CLI/CLI.hpp>

#include "cli/files_option.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "cli/started_job.h"
#include "job/detach.h"

namespace holdfast {

namespace {

Result<std::optional<ContainerToMake>> ContainerOf(const ContainerFlags& flags) {
  if (flags.id.empty() && flags.bundle.empty() && flags.runc_root.empty() && !flags.close_connections) {
    return std::optional<ContainerToMake>();
  }
  if (flags.id.empty() || flags.bundle.empty()) {
    return Fail(ErrorKind::kUsage, "holdfast resume: a container needs both --container ID and --bundle DIR")
        .WithHint("DIR has a config.json, as for `runc run --bundle DIR ID`");
  }
  return std::optional<ContainerToMake>({.id = flags.id,
                                         .bundle = flags.bundle,
                                         .root = flags.runc_root,
                                         .close_connections = flags.close_connections});
}

Result<ResumeOptions> OptionsOf(const GlobalOptions& global, const SnapshotId& snapshot,
                                const ResumeFlags& flags) {
  ResumeOptions options;
  options.snapshot = snapshot;
  options.container = TRY(ContainerOf(flags.container));
  if (options.container && flags.pid_mode != "same") {
    return Fail(ErrorKind::kUsage, "holdfast resume: a container's pid namespace is what its bundle says");
  }
  options.pid_mode = flags.pid_mode == "same" ? PidMode::kSame : PidMode::kNewNamespace;
  options.keep_files = flags.keep_files;
  if (flags.lazy) options.memory = MemoryComes::kLater;
  if (flags.eager) options.memory = MemoryComes::kBefore;
  options.triggers = TRY(ParseTriggers(flags.triggers));
  options.keep = flags.keep;
  options.file_trees = TRY(ParseFiles(flags.files));
  options.notices = PrintedNotices(global.quiet);
  return options;
}

}  // namespace

Result<StartedJob> ResumeInBackground(const GlobalOptions& global, const SnapshotId& snapshot,
                                      const ResumeFlags& flags) {
  ResumeOptions options = TRY(OptionsOf(global, snapshot, flags));
  options.background = true;
  return SuperviseDetached([&](const OnStarted& on_started) -> Result<int> {
    Store store = TRY(global.OpenStore());
    const std::unique_ptr<Progress> progress = MakeProgress(/*quiet=*/true);
    options.progress = progress.get();
    options.on_started = on_started;
    return ResumeJob(store, options);
  });
}

Result<int> ResumeAsTold(const GlobalOptions& global, const SnapshotId& snapshot, const ResumeFlags& flags) {
  if (flags.detach) {
    PrintStartedJob(TRY(ResumeInBackground(global, snapshot, flags)), global);
    return 0;
  }
  ResumeOptions options = TRY(OptionsOf(global, snapshot, flags));
  Store store = TRY(global.OpenStore());
  std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
  options.progress = progress.get();
  options.on_started = [&](const StartedJob& job) {
    progress.reset();
    if (!global.quiet) PrintResumeNotice(job);
  };
  return ResumeJob(store, options);
}

void AddContainerOptions(CLI::App& command, ContainerFlags& flags) {
  command.add_option("-c,--container", flags.id, "Of a container: make it a container of this ID")
      ->type_name("ID");
  command.add_option("-b,--bundle", flags.bundle, "With --container: its bundle, with its root file system")
      ->type_name("DIR");
  command
      .add_option("--runc-root", flags.runc_root,
                  "With --container: where runc is to keep its state; /run/runc")
      ->type_name("DIR");
  command.add_flag("--close-connections", flags.close_connections,
                   "With --container: TCP connections come back closed, as in another network");
}

void AddResumeOptions(CLI::App& command, ResumeFlags& flags) {
  AddTriggerOptions(command, flags.triggers);
  command.add_option("-k,--keep", flags.keep, "Keep the newest COUNT snapshots; as before when not given")
      ->type_name("COUNT");
  AddFilesOption(command, flags.files,
                 "Have later snapshots hold this directory instead of those before; off");
  command.add_flag("-d,--detach", flags.detach,
                   "Return once it runs; its supervisor stays in the background");
  command.add_option("--pid-mode", flags.pid_mode, "The pids it had, or a pid namespace of its own")
      ->type_name("same|new-ns")
      ->check(CLI::IsMember({"same", "new-ns"}));
  command.add_flag("--keep-files", flags.keep_files,
                   "Leave files as they are now instead of putting them back");
  CLI::Option* const lazy =
      command.add_flag("--lazy", flags.lazy, "Let it run before its memory is back, however little that is");
  command.add_flag("--eager", flags.eager, "Bring all of its memory back before it runs")->excludes(lazy);
}

}  // namespace holdfast
