#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "job/attach.h"
#include "job/job_book.h"

namespace holdfast {

namespace {

struct Flags {
  std::string job;
  bool follow = false;
};

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const Store store = TRY(global.OpenStore());
  const JobBook book(store.JobsDirectory());
  const JobRecord record = TRY(book.Load(flags.job));
  if (!flags.follow) {
    TRY(ShowJobLogs(book, record));
  } else {
    TRY(FollowJobLogs(book, record, /*from_start=*/true, [] { return false; }));
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "logs",
      .summary = "show what a job has written",
      .usage = "",
      .details =
          {"What went to its stdout and stderr since it was started, to our stdout and stderr. A resume "
           "takes the "
           "logs back to where they were at the snapshot. The files are in STORE/jobs/NAME; those of a "
           "detached job's supervisor are in supervisor.log."},
      .examples = {{"holdfast logs train", "all of it"},
                   {"holdfast logs -f train", "and what comes, until it ends"}},
      .exit_codes = {{"0", "shown"}, {"66", "there is no such job, or it has no log"}},
  };
}

}  // namespace

void AddLogsCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("job", flags->job, "The job")->type_name("NAME")->required();
  command.add_flag("-f,--follow", flags->follow, "Go on showing what it writes until it ends");
}

}  // namespace holdfast
