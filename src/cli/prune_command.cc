#include <algorithm>
#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/removal_output.h"
#include "job/annotation_filter.h"

namespace holdfast {

namespace {

struct Flags {
  std::vector<std::string> jobs;
  KeepRules rules;
  std::vector<std::string> where;
  bool dry_run = false;
};

Result<KeepRules> RulesOf(const Flags& flags) {
  KeepRules rules = flags.rules;
  if (flags.where.empty()) return rules;
  rules.besides = [filters = TRY(ParseFilters(flags.where))](const SnapshotSummary& snapshot) {
    return std::any_of(filters.begin(), filters.end(), [&snapshot](const AnnotationFilter& filter) {
      return filter.Accepts(snapshot.annotations);
    });
  };
  return rules;
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const KeepRules rules = TRY(RulesOf(flags));
  if (!flags.jobs.empty() && !rules.any()) {
    return Fail(ErrorKind::kUsage, "holdfast prune: how many snapshots are to be kept?")
        .WithHint("holdfast prune --keep 5 " + flags.jobs.front());
  }
  for (const std::string& job : flags.jobs) TRY(ValidateLineageName(job));
  Store store = TRY(global.OpenStore());
  PrintRemoval(TRY(PruneLineages(store, flags.jobs, rules, flags.dry_run)), global, flags.dry_run);
  return 0;
}

CommandText Text() {
  return {
      .name = "prune",
      .summary = "remove old snapshots, give room back",
      .usage = "",
      .details =
          {"Removes old snapshots of each job named (of every job when none is) and keeps those that "
           "any of the options "
           "wants, and the present of the job, from which 'resume' would restart it. Without one of "
           "these options no "
           "snapshot goes. Any snapshot may go: those that came after it are complete without it.",
           "Then frees what no snapshot refers to, and what writers that died have left. What those that "
           "stay share with those that went lies scattered then: 'holdfast compact' gives back the room "
           "between."},
      .examples = {{"holdfast prune --keep 3 train", "the newest three of one job"},
                   {"holdfast prune --keep 3 --hourly 24 --daily 7 --weekly 4 train",
                    "fewer, the older they are"},
                   {"holdfast prune --keep 3 --keep-where tag=best train", "and those with this annotation"},
                   {"holdfast prune --keep 1 --dry-run", "what would go, everywhere"}},
      .exit_codes = {{"0", "done"}, {"66", "there is no such job"}},
  };
}

}  // namespace

void AddPruneCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("jobs", flags->jobs, "The jobs; all when none is named")->type_name("NAME");
  command.add_option("-k,--keep", flags->rules.last, "Keep the newest COUNT snapshots of each")
      ->type_name("COUNT");
  const auto add_period = [&command](const char* option, uint64_t& count, const char* what) {
    command.add_option(option, count, what)->type_name("COUNT");
  };
  add_period("--hourly", flags->rules.hourly,
             "Keep the newest one of each of the last COUNT hours that have any");
  add_period("--daily", flags->rules.daily, "The same for days");
  add_period("--weekly", flags->rules.weekly, "The same for weeks");
  command.add_option("--keep-where", flags->where, "Keep those with this annotation (also != < <= > >=)")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command.add_flag("--dry-run", flags->dry_run, "Only say what would go");
}

}  // namespace holdfast
