#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/units.h"
#include "cli/arguments.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/files_option.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "cli/snapshot_json.h"
#include "cli/trigger_options.h"
#include "job/checkpoint_job.h"
#include "job/checkpoint_target.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

struct Flags {
  std::string job;
  int pid = 0;
  std::string container;
  std::string runc_root;
  std::string name_match;
  std::string name;

  int targets() const {
    return (job.empty() ? 0 : 1) + (pid == 0 ? 0 : 1) + (container.empty() ? 0 : 1) +
           (name_match.empty() ? 0 : 1);
  }
  std::string note;
  std::vector<std::string> tags;
  std::string capture = "auto";
  std::vector<std::string> files;
  bool stop = false;
  uint64_t full_every = 0;
  std::string freeze_budget;
};

Result<CheckpointRequest> MakeRequest(const Flags& flags, Progress* progress) {
  if (flags.targets() != 1) {
    return Fail(ErrorKind::kUsage,
                "holdfast checkpoint: a job's NAME, --pid PID, --name-match PROCESS or --container ID")
        .WithHint("'holdfast ps' lists the jobs, 'ps -ef' all processes, 'runc list' containers");
  }
  if (!flags.name.empty() && !flags.job.empty()) {
    return Fail(ErrorKind::kUsage,
                "holdfast checkpoint: --name goes with --pid, --name-match or --container; '" + flags.job +
                    "' has a name")
        .WithHint("holdfast checkpoint " + flags.job);
  }
  if (!flags.runc_root.empty() && flags.container.empty()) {
    return Fail(ErrorKind::kUsage, "holdfast checkpoint: --runc-root goes with --container");
  }
  CheckpointRequest request;
  request.name = flags.job.empty() ? flags.name : flags.job;
  request.pid = flags.pid;
  if (!flags.name_match.empty()) request.pid = TRY(FindByName(flags.name_match));
  request.container = flags.container;
  request.runc_root = flags.runc_root;
  request.annotations = TRY(ParsePairs(flags.tags));
  if (!flags.note.empty()) request.annotations["note"] = flags.note;
  request.file_trees = TRY(ParseFiles(flags.files));
  request.stop = flags.stop;
  request.full_every = flags.full_every;
  if (!flags.freeze_budget.empty()) request.freeze_budget_ms = TRY(ParseFreezeBudget(flags.freeze_budget));
  request.capture = flags.capture == "twin"      ? CaptureWay::kTwin
                    : flags.capture == "copy"    ? CaptureWay::kCopy
                    : flags.capture == "precopy" ? CaptureWay::kPreCopy
                    : flags.capture == "partial" ? CaptureWay::kPartialTwin
                                                 : CaptureWay::kAuto;
  request.progress = progress;
  return request;
}

void PrintSnapshot(const JobCheckpoint& checkpoint, const GlobalOptions& global, bool stopped) {
  if (global.json) {
    PrintJson(CheckpointToJson(checkpoint));
    return;
  }
  const Manifest& manifest = checkpoint.manifest;
  fmt::print("{}\n", manifest.id.ToString());
  if (!global.quiet) {
    const CheckpointFigures& figures = manifest.figures;
    const size_t count = manifest.processes.size();
    fmt::print("  freeze    {:<12} the job stood still\n", FormatMilliseconds(figures.freeze_ms));
    fmt::print("  drain     {:<12} saved while it {}\n", FormatMilliseconds(figures.drain_ms),
               stopped ? "waited to be stopped" : "ran on");
    fmt::print("  memory    {:<12} of {} {}\n", FormatBytes(figures.bytes_captured), count,
               count == 1 ? "process" : "processes");
    fmt::print("  stored    {:<12} new in the store\n", FormatBytes(figures.bytes_stored));
    fmt::print("  capture   {:<12} {}\n", figures.capture, figures.capture_reason);
    if (stopped) fmt::print("  stopped   'holdfast resume {}' goes on\n", manifest.id.lineage);
  }
  for (const std::string& warning : manifest.warnings) PrintNotice("warning: " + warning);
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const SignalFence fence;  // Ctrl-C is asked for by the progress, and undone by the engine
  Result<JobCheckpoint> checkpoint = Fail(ErrorKind::kInternal, "no checkpoint was taken");
  {
    const std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
    const CheckpointRequest request = TRY(MakeRequest(flags, progress.get()));
    Store store = TRY(flags.job.empty() ? global.OpenOrMakeStore() : global.OpenStore());
    checkpoint = CheckpointJob(store, request);
  }
  if (!checkpoint) return checkpoint.error();
  PrintSnapshot(*checkpoint, global, flags.stop);
  return 0;
}

CommandText Text() {
  return {
      .name = "checkpoint",
      .summary = "take a snapshot now",
      .usage = "[options] NAME | --pid PID | --name-match PROCESS | --container ID",
      .details =
          {"Freezes the job for some milliseconds, captures its memory and lets it go on; then saves "
           "what was captured "
           "while the job runs. Returns when the snapshot is committed; until then there is none. A "
           "failure, or "
           "Ctrl-C, leaves the job running and the store as it was.",
           "Memory of a large process is stored before the freeze, while it runs and its writes are "
           "tracked; the freeze captures what was written meanwhile. Holdfast goes on tracking a job that "
           "it supervises, and the next snapshot stores only what has changed. Every snapshot is complete "
           "all the same: any of them may be removed.",
           "With --pid any process tree that runs on this machine, whoever started it; from then on "
           "it is a job with "
           "a name. --name-match finds that process by its name, when there is one of it. One checkpoint of "
           "a job at a time: a second one waits.",
           "With --container a container of runc, whoever manages it: Docker, containerd, podman or runc "
           "itself. It goes on, and 'holdfast resume NAME --container NEWID --bundle DIR' makes a container "
           "of the snapshot, over a root file system like the one that it had. --files names a directory in "
           "the container; what is mounted into it is never taken along."},
      .examples =
          {{"holdfast checkpoint train --note 'before the new learning rate'", "a snapshot with a note"},
           {"holdfast checkpoint train --stop", "and stop the job: 'holdfast resume train' goes on later"},
           {"holdfast checkpoint --pid 4711 --name sim", "a program that was started without Holdfast"},
           {"holdfast checkpoint --name-match simulate", "the one process that is called so"},
           {"holdfast checkpoint --container web --files /var/lib/web",
            "a container, with a directory of it"},
           {"holdfast checkpoint train --json | jq .freeze_ms", "the freeze, for a script"}},
      .exit_codes = {{"0", "the snapshot is committed"},
                     {"69", "something in the tree cannot be checkpointed; nothing was changed"},
                     {"130", "interrupted: the job runs on, the store is as it was"}},
  };
}

}  // namespace

void AddCheckpointCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("job", flags->job, "The job")->type_name("NAME");
  command.add_option("-p,--pid", flags->pid, "The first process of any tree instead")
      ->type_name("PID")
      ->check(CLI::Range(1, 1 << 22));
  command
      .add_option("--name-match", flags->name_match, "The one process tree whose first process is called so")
      ->type_name("PROCESS");
  command.add_option("-c,--container", flags->container, "A container of runc instead")->type_name("ID");
  command
      .add_option("--runc-root", flags->runc_root,
                  "With --container: where runc keeps its state; looked for when not given")
      ->type_name("DIR");
  command.add_option("-n,--name", flags->name, "With all but a job's NAME: what to call it")
      ->type_name("NEWNAME");
  command.add_option("--note", flags->note, "Why it was taken; 'holdfast snapshots' shows it")
      ->type_name("TEXT");
  command.add_option("--tag", flags->tags, "An annotation; may be given more than once")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  AddFilesOption(command, flags->files,
                 "Have this and later snapshots hold this directory instead of those before; off");
  command.add_flag("--stop", flags->stop, "Leave the job stopped once the snapshot is committed");
  command
      .add_option("--full-every", flags->full_every,
                  "A full one, without a parent, when the COUNT-1 before it were deltas; 1: in any case")
      ->type_name("COUNT")
      ->check(CLI::PositiveNumber.description(""));
  command
      .add_option("--freeze-budget", flags->freeze_budget,
                  "How long the job may stand still: 50ms; off. Kept if it can be, else it is said why not")
      ->type_name("DURATION");
  command.add_option("--capture", flags->capture, "How memory is captured; auto chooses by what it measures")
      ->type_name("auto|precopy|partial|twin|copy")
      ->check(CLI::IsMember({"auto", "precopy", "partial", "twin", "copy"}));
}

}  // namespace holdfast
