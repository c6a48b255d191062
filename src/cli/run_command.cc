#include <unistd.h>

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/started_job.h"
#include "job/detach.h"
#include "job/run_job.h"

namespace holdfast {

namespace {

struct Flags {
  std::string name;
  std::string every;
  uint64_t keep = 0;
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
  options.every_s = TRY(ParseInterval(flags.every));
  options.keep = flags.keep;
  options.terminal = flags.terminal;
  options.background = flags.detach;
  options.notices = PrintedNotices(global.quiet);
  if (options.every_s > 0 && ::geteuid() != 0) {
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
      .summary = "start a job, stand by it, take snapshots on an interval",
      .usage = "[options] -- COMMAND [ARGUMENT...]",
      .details = {"Starts COMMAND in a session of its own. Its output is kept in the store ('holdfast logs') "
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
                  "--tty job: its terminal goes)."},
      .examples = {{"holdfast run --every 30s --keep 5 -- python3 train.py --epochs 90",
                    "a job called 'train', a snapshot every 30 seconds, the newest five kept"},
                   {"holdfast run --detach --name sim -- ./simulate input.txt", "start it in the background"},
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
  command.add_option("-e,--every", flags->every, "Take a snapshot this often: 30s, 5m, 1h")
      ->type_name("DURATION");
  command.add_option("-k,--keep", flags->keep, "Keep the newest COUNT snapshots, remove older ones")
      ->type_name("COUNT");
  command.add_flag("-t,--tty", flags->terminal, "Give the job a terminal of its own");
  command.add_flag("-d,--detach", flags->detach,
                   "Return once it runs; its supervisor stays in the background");
}

}  // namespace holdfast
