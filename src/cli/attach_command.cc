#include "job/attach.h"

#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "job/checkpoint_target.h"
#include "job/signal_fence.h"
#include "job/supervised_job.h"

namespace holdfast {

namespace {

// How the job ended while we looked.
Result<int> StatusOf(const JobBook& book, const std::string& name) {
  const JobRecord record = TRY(book.Load(name));
  const std::optional<JobEnding> ending = book.EndingOf(record);
  if (!ending) return 0;
  return ending->kind == JobEnding::Kind::kCheckpointed ? kExitCheckpointed : ending->exit_status;
}

Result<int> Run(const GlobalOptions& global, const std::string& name) {
  const Store store = TRY(global.OpenStore());
  const JobBook book(store.JobsDirectory());
  const JobRecord record = TRY(FindJob(book, name));
  AttachEnd end = AttachEnd::kDetached;
  if (record.terminal) {
    if (!global.quiet) PrintNotice("attached to '" + name + "'; Ctrl-P Ctrl-Q leaves it running");
    end = TRY(AttachToTerminal(book.DirectoryOf(name)));
  } else {
    const SignalFence fence;
    if (!global.quiet) PrintNotice("following the output of '" + name + "'; Ctrl-C leaves it alone");
    end = TRY(FollowJobLogs(book, record, /*from_start=*/false, SignalFence::StopRequested));
  }
  if (end == AttachEnd::kJobEnded) return StatusOf(book, name);
  if (!global.quiet) PrintNotice("detached from '" + name + "', which runs on");
  return 0;
}

CommandText Text() {
  return {
      .name = "attach",
      .summary = "sit down at a running job",
      .usage = "",
      .details =
          {"A job on a terminal ('run --tty'): keyboard and screen are the job's until it ends or you type "
           "Ctrl-P "
           "Ctrl-Q, which leaves it running. Any other job: its output from now on; Ctrl-C leaves it alone."},
      .examples = {{"holdfast run --tty --detach --name py -- python3",
                    "start an interpreter in the background"},
                   {"holdfast attach py", "and sit down at it"}},
      .exit_codes = {{"0", "you left it running"},
                     {"0-255", "it ended meanwhile: its own status, as of 'run'"}},
  };
}

}  // namespace

void AddAttachCommand(CommandLine& line) {
  auto name = std::make_shared<std::string>();
  CLI::App& command = line.Add(Text(), [name](const GlobalOptions& global) { return Run(global, *name); });
  command.add_option("job", *name, "The job")->type_name("NAME")->required();
}

}  // namespace holdfast
