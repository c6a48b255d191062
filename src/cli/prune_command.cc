#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/removal_output.h"

namespace holdfast {

namespace {

struct Flags {
  std::vector<std::string> jobs;
  uint64_t keep = 0;
  bool dry_run = false;
};

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  if (!flags.jobs.empty() && flags.keep == 0) {
    return Fail(ErrorKind::kUsage, "holdfast prune: how many snapshots are to be kept?")
        .WithHint("holdfast prune --keep 5 " + flags.jobs.front());
  }
  for (const std::string& job : flags.jobs) TRY(ValidateLineageName(job));
  Store store = TRY(global.OpenStore());
  PrintRemoval(TRY(PruneLineages(store, flags.jobs, flags.keep, flags.dry_run)), global, flags.dry_run);
  return 0;
}

CommandText Text() {
  return {
      .name = "prune",
      .summary = "remove old snapshots, give room back",
      .usage = "",
      .details =
          {"Keeps the present and the newest COUNT snapshots of each job named (of every job when none is) "
           "and removes the "
           "others; "
           "then frees what no snapshot refers to, and what writers that died have left. Without --keep no "
           "snapshot goes."},
      .examples = {{"holdfast prune --keep 3 train", "the newest three of one job"},
                   {"holdfast prune --keep 1 --dry-run", "what would go, everywhere"}},
      .exit_codes = {{"0", "done"}, {"66", "there is no such job"}},
  };
}

}  // namespace

void AddPruneCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("jobs", flags->jobs, "The jobs; all when none is named")->type_name("NAME");
  command.add_option("-k,--keep", flags->keep, "Keep the newest COUNT snapshots of each")->type_name("COUNT");
  command.add_flag("--dry-run", flags->dry_run, "Only say what would go");
}

}  // namespace holdfast
