#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/files_option.h"
#include "cli/output.h"
#include "cli/started_job.h"
#include "cli/trigger_options.h"
#include "job/detach.h"
#include "job/run_job.h"

namespace holdfast {

namespace {

struct Flags {
  std::string name;
  TriggerFlags triggers;
  uint64_t keep = 0;
  std::vector<std::string> files;
  bool terminal = false;
  bool detach = false;
};

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  if (global.job_command.empty()) {
    return Fail(ErrorKind::kUsage, "holdfast run: which command?")
        .WithHint("holdfast run [options] -- COMMAND...");
  }
  RunOptions options;
  options.name = flags.name;
  options.command = global.job_command;
  options.triggers = Apply(TRY(ParseTriggers(flags.triggers)), {});
  options.keep = flags.keep;
  options.file_trees = flags.files;
  options.terminal = flags.terminal;
  options.background = flags.detach;
  options.notices = PrintedNotices(global.quiet);
  if (options.triggers.any() && ::geteuid() != 0) {
    options.notices(NoticeKind::kProblem, "without root, checkpoints of this job will fail");
  }
  if (flags.detach) {
    const StartedJob job = TRY(SuperviseDetached([&](const OnStarted& on_started) -> Result<int> {
      Store store = TRY(global.OpenOrMakeStore());
      options.on_started = on_started;
      return RunJob(store, options);
    }));
    PrintStartedJob(job, global);
    return 0;
  }
  Store store = TRY(global.OpenOrMakeStore());
  options.on_started = [](const StartedJob&) {};
  return RunJob(store, options);
}

CommandText Text() {
  return {
      .name = "run",
      .summary = "start a job, stand by it, take snapshots when they are due",
      .usage = "[options] -- COMMAND [ARGUMENT...]",
      .details =
          {"Starts COMMAND in a session of its own. Its output is kept in the store ('holdfast logs') "
           "and shown here; "
           "signals are passed on to it, Ctrl-C too; the exit status is the job's. A file or a pipe "
           "on stdin is the "
           "job's stdin; a terminal is not, unless --tty gives the job a terminal of its own.",
           "With SIGTERM a last snapshot is taken, the job is stopped and the status is 75; when no "
           "snapshot can be "
           "taken, the job gets the SIGTERM itself. A second SIGTERM kills the job at once. If this "
           "command is killed "
           "with -9 the job lives on, 'holdfast ps' calls it unsupervised, and it can still be "
           "checkpointed (not a "
           "--tty job: its terminal goes).",
           "Snapshots are taken by themselves on an interval (--every), after so much was written "
           "(--every-dirty) and on a signal (--on-signal), whichever comes first; 'holdfast snapshots' shows "
           "which it was. With --every auto the interval follows from what a checkpoint is measured to take "
           "from the job and from --mtbf, by Young's and Daly's formula, and leaves the job 95% of its time "
           "at "
           "least. "
           "All of it is remembered: a resume goes on with it.",
           "Files that the job has open for writing belong to its snapshots in any case: a restart puts them "
           "back. With --files all that is in a directory does, whoever wrote it and whether it is open or "
           "not: what was removed comes back, and what came later is removed. Mounts in it are left alone.",
           "With --deadline a SIGTERM is the notice that the machine will be taken away that much later. The "
           "job runs on while deltas are taken, each of which leaves less for the next. The last snapshot, "
           "after which the job is stopped, begins when a further delta would gain nothing or might not "
           "leave "
           "time enough, by what earlier checkpoints of the job took; what is predicted is shown. So set it "
           "to what comes between SIGTERM and SIGKILL, such as a pod's grace period."},
      .examples = {{"holdfast run --every 30s --keep 5 -- python3 train.py --epochs 90",
                    "a job called 'train', a snapshot every 30 seconds, the newest five kept"},
                   {"holdfast run --detach --name sim -- ./simulate input.txt", "start it in the background"},
                   {"holdfast run --every auto --mtbf 12h --deadline 2m -- ./simulate",
                    "on a machine that fails twice a day and is taken away two minutes after a SIGTERM"},
                   {"holdfast run --every-dirty 2G --on-signal USR1 -- ./server",
                    "after each 2 GiB that it wrote, and when a scheduler asks for it"},
                   {"holdfast run --files out --every 10m -- python3 train.py --output out",
                    "with all that it has written to 'out'"},
                   {"holdfast run --tty -- python3", "an interactive program"}},
      .exit_codes = {{"0-255", "the job's own; 128+N when signal N killed it"},
                     {"75", "stopped after a last snapshot: 'holdfast resume NAME' goes on"}},
  };
}

}  // namespace

void AddRunCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("-n,--name", flags->name, "What to call it; made from the command when not given")
      ->type_name("NEWNAME");
  AddTriggerOptions(command, flags->triggers);
  command.add_option("-k,--keep", flags->keep, "Keep the newest COUNT snapshots, remove older ones")
      ->type_name("COUNT");
  AddFilesOption(command, flags->files,
                 "Have snapshots hold all that is in the directory; may be given more than once");
  command.add_flag("-t,--tty", flags->terminal, "Give the job a terminal of its own");
  command.add_flag("-d,--detach", flags->detach,
                   "Return once it runs; its supervisor stays in the background");
}

}  // namespace holdfast
