#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/clock.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/store_location.h"
#include "cli/trigger_options.h"
#include "job/job_list.h"

namespace holdfast {

namespace {

bool Lives(const JobRow& row) {
  return row.state == JobState::kRunning || row.state == JobState::kUnsupervised;
}

Json RowToJson(const JobRow& row) {
  const bool exited = row.ending && row.ending->kind == JobEnding::Kind::kExited;
  const bool supervised = row.state == JobState::kRunning;
  return {{"name", row.record.name},
          {"state", JobStateName(row.state)},
          {"pid", Lives(row) ? Json(row.record.job.pid) : Json(nullptr)},
          {"supervisor_pid", supervised ? Json(row.record.supervisor.pid) : Json(nullptr)},
          {"started", FormatWallClock(row.record.started_ms)},
          {"command", row.record.command},
          {"exit_status", exited ? Json(row.ending->exit_status) : Json(nullptr)},
          {"snapshots", row.snapshots},
          {"container", row.record.container ? Json{{"id", row.record.container->id},
                                                    {"runc_root", row.record.container->root}}
                                             : Json(nullptr)},
          {"network", row.record.private_network ? "own" : "shared"},
          {"newest", row.newest ? Json(row.newest->ToString()) : Json(nullptr)},
          {"every_s", row.record.triggers.every_s},
          {"triggers", TriggersToJson(row.record.triggers)}};
}

void PrintTable(const std::vector<JobRow>& rows) {
  using Align = Table::Align;
  Table table({{"NAME"},
               {"STATE"},
               {"PID", Align::kRight},
               {"STARTED"},
               {"EVERY", Align::kRight},
               {"SNAPSHOTS", Align::kRight},
               {"NEWEST"},
               {"COMMAND"}});
  const int64_t now = WallClockMs();
  for (const JobRow& row : rows) {
    const bool exited = row.ending && row.ending->kind == JobEnding::Kind::kExited;
    std::string state(JobStateName(row.state));
    // Its runtime sees to it.
    if (row.record.container && row.state == JobState::kUnsupervised) state = "container";
    const std::string rhythm = DescribeRhythm(row.record.triggers);
    if (exited) state += fmt::format(" ({})", row.ending->exit_status);
    table.Row({row.record.name, state, Lives(row) ? std::to_string(row.record.job.pid) : "-",
               row.record.started_ms == 0 ? "-" : FormatAge(row.record.started_ms, now),
               rhythm.empty() ? "-" : rhythm, std::to_string(row.snapshots),
               row.newest ? row.newest->ToString() : "-", FormatCommand(row.record.command)});
  }
  table.Print();
}

Result<int> Run(const GlobalOptions& global) {
  JobTable jobs;
  // No store yet: no jobs. A store that was asked for by name is another thing.
  std::error_code ignored;
  if (!global.store.empty() || std::filesystem::exists(TRY(StoreDirectory(global.store)), ignored)) {
    const Store store = TRY(global.OpenStore());
    jobs = TRY(ListJobs(store));
  }
  for (const Error& problem : jobs.problems) PrintNotice(problem.message);
  if (global.json) {
    Json json = Json::array();
    for (const JobRow& row : jobs.rows) json.push_back(RowToJson(row));
    PrintJson(json);
  } else if (global.quiet) {
    for (const JobRow& row : jobs.rows) fmt::print("{}\n", row.record.name);
  } else if (jobs.rows.empty()) {
    PrintNotice("no jobs yet; 'holdfast run -- COMMAND' starts one");
  } else {
    PrintTable(jobs.rows);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "ps",
      .summary = "list the jobs, running or not",
      .usage = "",
      .details =
          {"States: running; unsupervised (it runs, its supervisor does not: it can be checkpointed and "
           "stopped); container (it runs, and its runtime supervises it); "
           "exited, with its status; checkpointed (stopped after a snapshot); lost (it died with its "
           "supervisor, in a crash or a reboot). 'holdfast resume' goes on with every job that does not run "
           "and has snapshots."},
      .examples = {{"holdfast ps", "a table"},
                   {"holdfast ps --json | jq -r '.[] | select(.state == \"lost\") | .name'",
                    "what a crash took"}},
      .exit_codes = {{"0", "listed"}},
  };
}

}  // namespace

void AddPsCommand(CommandLine& line) {
  line.Add(Text(), Run);
}

}  // namespace holdfast
