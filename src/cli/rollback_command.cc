#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "cli/resume_options.h"
#include "job/roll_back.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

struct Flags {
  std::string snapshot;
  bool discard = false;
  ResumeFlags resume;
};

Result<void> Stop(const GlobalOptions& global, const SnapshotId& id, bool discard) {
  const SignalFence fence;
  Store store = TRY(global.OpenStore());
  TRY(store.Resolve(id));  // before anything is stopped for it
  const std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
  return StopForRollBack(store, id.lineage,
                         {.discard = discard,
                          .notices = PrintedNotices(global.quiet || global.json),
                          .progress = progress.get()});
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const SnapshotId id = TRY(ParseSnapshotId(flags.snapshot));
  if (id.version == 0) {
    return Fail(ErrorKind::kUsage, "holdfast rollback: to which snapshot of '" + id.lineage + "'?")
        .WithHint("'holdfast snapshots " + id.lineage +
                  " --graph' shows them; for example holdfast rollback " + id.lineage + "@3");
  }
  TRY(ParseTriggers(flags.resume.triggers));  // before anything is stopped for it
  TRY(Stop(global, id, flags.discard));
  return ResumeAsTold(global, id, flags.resume);
}

CommandText Text() {
  return {
      .name = "rollback",
      .summary = "make an earlier snapshot the present of a job",
      .usage = "",
      .details = {"Stops the job, if it runs, after a last snapshot of it, and restarts it from the snapshot "
                  "named, as "
                  "'resume' does, files included. What came after that snapshot stays: it is a branch that "
                  "can be resumed or "
                  "rolled back to until it is pruned ('holdfast snapshots NAME --graph')."},
      .examples = {{"holdfast rollback train@3", "the third snapshot, here and now"},
                   {"holdfast rollback train@3 --detach", "in the background"},
                   {"holdfast rollback train@3 --discard",
                    "what it has done since its newest snapshot is lost"}},
      .exit_codes = {{"0-255", "the job's own; 128+N when signal N killed it"},
                     {"66", "there is no such snapshot; nothing was stopped"},
                     {"75", "stopped after a last snapshot, as with 'run'"}},
  };
}

}  // namespace

void AddRollbackCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The snapshot")->type_name("NAME@N")->required();
  AddResumeOptions(command, flags->resume);
  command.add_flag("--discard", flags->discard, "Take no last snapshot of a job that runs");
}

}  // namespace holdfast
