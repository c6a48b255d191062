#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/resume_options.h"
#include "job/annotation_filter.h"

namespace holdfast {

namespace {

struct Flags {
  std::string snapshot;
  std::vector<std::string> where;
  ResumeFlags resume;
};

Result<SnapshotId> Choose(const GlobalOptions& global, const Flags& flags) {
  SnapshotId id = TRY(ParseSnapshotId(flags.snapshot));
  if (flags.where.empty()) return id;
  if (id.version != 0) {
    return Fail(ErrorKind::kUsage,
                "holdfast resume: " + id.ToString() + " is one snapshot; --where chooses one")
        .WithHint("holdfast resume " + id.lineage + " --where '" + flags.where.front() + "'");
  }
  return FindNewest(TRY(global.OpenStore()), id.lineage, flags.where);
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  return ResumeAsTold(global, TRY(Choose(global, flags)), flags.resume);
}

CommandText Text() {
  return {
      .name = "resume",
      .summary = "restart a job from a snapshot, hot",
      .usage = "",
      .details =
          {"Puts back the files that the job had open for writing, restores its processes and lets them "
           "run on; then stands by them as 'run' does: snapshots, log, signals, exit status. When snapshots "
           "are taken is as before, but for what is given here ('holdfast run --help' explains it). A job "
           "that still runs is not resumed; 'rollback' stops it first.",
           "A job of 32 MiB or more runs before its memory is back, but for processes that are not root's or "
           "have "
           "a seccomp filter: what it touches comes at once, the rest meanwhile. Two page servers see to "
           "that and end when all is there; killed one by one they "
           "replace each other. A checkpoint waits for them. --eager brings all memory back first.",
           "NAME alone is the job's present: its newest snapshot, or the earlier one that it was last "
           "restarted "
           "from, if none was taken since.",
           "The processes get the pids that they had. When one of them is taken, --pid-mode new-ns "
           "restores into a pid namespace of its own. Ends that lay outside of the job are replaced: "
           "terminals by a "
           "terminal of ours, pipes it wrote to by its log, the pipe on its stdin by the file or pipe "
           "on ours, other "
           "pipes it read from by /dev/null.",
           "A snapshot of a container becomes one of runc, under a new ID, over the root file system of a "
           "bundle: files that are in the snapshot are put there. What it writes goes to the job's log, its "
           "stdin is at its end. 'runc exec', 'kill', 'state' and 'delete' work as with any container."},
      .examples = {{"holdfast resume train", "where it stood, here"},
                   {"holdfast resume train@3 --detach", "from the third one, in the background"},
                   {"holdfast resume train --where epoch=12", "from the newest with this annotation"},
                   {"holdfast resume train --pid-mode new-ns", "when its pids are taken"},
                   {"holdfast resume web --container web2 --bundle /srv/web2 --detach", "a container"}},
      .exit_codes = {{"0-255", "the job's own; 128+N when signal N killed it"},
                     {"66", "there is no such job, or no such snapshot of it"},
                     {"73", "the job still runs, or its pids are taken"},
                     {"75", "stopped after a last snapshot, as with 'run'"}},
  };
}

}  // namespace

void AddResumeCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The job, or one snapshot of it")
      ->type_name("NAME[@N]")
      ->required();
  AddResumeOptions(command, flags->resume);
  AddContainerOptions(command, flags->resume.container);
  command
      .add_option("-w,--where", flags->where, "The newest snapshot with this annotation (also != < <= > >=)")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

}  // namespace holdfast
