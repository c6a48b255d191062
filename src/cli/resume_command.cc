#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "cli/started_job.h"
#include "job/detach.h"
#include "job/resume_job.h"

namespace holdfast {

namespace {

struct Flags {
  std::string snapshot;
  std::string every;
  std::optional<uint64_t> keep;
  std::string pid_mode = "same";
  bool keep_files = false;
  bool detach = false;
};

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  ResumeOptions options;
  options.snapshot = TRY(ParseSnapshotId(flags.snapshot));
  options.pid_mode = flags.pid_mode == "same" ? PidMode::kSame : PidMode::kNewNamespace;
  options.keep_files = flags.keep_files;
  if (!flags.every.empty()) options.every_s = TRY(ParseInterval(flags.every));
  options.keep = flags.keep;
  options.background = flags.detach;
  options.notices = PrintedNotices(global.quiet);
  if (flags.detach) {
    const StartedJob job = TRY(SuperviseDetached([&](const OnStarted& on_started) -> Result<int> {
      Store store = TRY(global.OpenStore());
      const std::unique_ptr<Progress> progress = MakeProgress(/*quiet=*/true);
      options.progress = progress.get();
      options.on_started = on_started;
      return ResumeJob(store, options);
    }));
    PrintStartedJob(job, global);
    return 0;
  }
  Store store = TRY(global.OpenStore());
  std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
  options.progress = progress.get();
  options.on_started = [&](const StartedJob& job) {
    progress.reset();
    if (!global.quiet) PrintResumeNotice(job);
  };
  Result<int> status = ResumeJob(store, options);
  return status;
}

CommandText Text() {
  return {
      .name = "resume",
      .summary = "restart a job from a snapshot, hot",
      .usage = "",
      .details =
          {"Puts back the files that the job had open for writing, restores its processes with all of "
           "their memory and "
           "lets them run on; then stands by them as 'run' does: interval, log, signals, exit status. "
           "A job that "
           "still runs is not resumed.",
           "The processes get the pids that they had. When one of them is taken, --pid-mode new-ns "
           "restores into a pid "
           "namespace of its own. Ends that lay outside of the job are replaced: terminals by a "
           "terminal of ours, "
           "pipes it wrote to by its log, the pipe on its stdin by the file or pipe on ours, other pipes it "
           "read from by /dev/null."},
      .examples = {{"holdfast resume train", "from the newest snapshot, here"},
                   {"holdfast resume train@3 --detach", "from the third one, in the background"},
                   {"holdfast resume train --pid-mode new-ns", "when its pids are taken"}},
      .exit_codes = {{"0-255", "the job's own; 128+N when signal N killed it"},
                     {"73", "the job still runs, or its pids are taken"},
                     {"75", "stopped after a last snapshot, as with 'run'"}},
  };
}

}  // namespace

void AddResumeCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The job (its newest snapshot), or one snapshot of it")
      ->type_name("NAME[@N]")
      ->required();
  command.add_option("-e,--every", flags->every, "Take a snapshot this often; as before when not given")
      ->type_name("DURATION");
  command.add_option("-k,--keep", flags->keep, "Keep the newest COUNT snapshots; as before when not given")
      ->type_name("COUNT");
  command.add_flag("-d,--detach", flags->detach,
                   "Return once it runs; its supervisor stays in the background");
  command.add_option("--pid-mode", flags->pid_mode, "The pids it had, or a pid namespace of its own")
      ->type_name("same|new-ns")
      ->check(CLI::IsMember({"same", "new-ns"}));
  command.add_flag("--keep-files", flags->keep_files,
                   "Leave files as they are now instead of putting them back");
}

}  // namespace holdfast
