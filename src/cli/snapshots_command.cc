#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/units.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/snapshot_json.h"
#include "job/job_book.h"

namespace holdfast {

namespace {

// The note first, then the other annotations.
std::string FormatAnnotations(const std::map<std::string, std::string>& annotations) {
  std::string text;
  if (const auto note = annotations.find("note"); note != annotations.end()) text = note->second;
  for (const auto& [key, value] : annotations) {
    if (key == "note") continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : "  ", key, value);
  }
  return text;
}

void PrintTable(const std::vector<SnapshotSummary>& snapshots) {
  using Align = Table::Align;
  Table table({{"SNAPSHOT"},
               {"KIND"},
               {"TAKEN"},
               {"FREEZE", Align::kRight},
               {"DRAIN", Align::kRight},
               {"MEMORY", Align::kRight},
               {"STORED", Align::kRight},
               {"PROCESSES", Align::kRight},
               {"NOTE"}});
  const int64_t now = WallClockMs();
  for (const SnapshotSummary& snapshot : snapshots) {
    table.Row({snapshot.id.ToString(), snapshot.kind == SnapshotKind::kFull ? "full" : "delta",
               FormatAge(snapshot.created_ms, now), FormatMilliseconds(snapshot.figures.freeze_ms),
               FormatMilliseconds(snapshot.figures.drain_ms), FormatBytes(snapshot.figures.bytes_captured),
               FormatBytes(snapshot.figures.bytes_stored), std::to_string(snapshot.process_count),
               FormatAnnotations(snapshot.annotations)});
  }
  table.Print();
}

// A job that runs and has no snapshot yet is a name that exists.
Result<std::vector<SnapshotSummary>> SnapshotsOf(const Store& store, const std::string& name) {
  Result<std::vector<SnapshotSummary>> snapshots = store.Snapshots(name);
  const bool unknown = !snapshots && snapshots.error().kind == ErrorKind::kNotFound;
  if (unknown && JobBook(store.JobsDirectory()).Has(name)) return std::vector<SnapshotSummary>();
  return snapshots;
}

Result<int> Run(const GlobalOptions& global, const std::string& name) {
  TRY(ValidateLineageName(name));
  const Store store = TRY(global.OpenStore());
  const std::vector<SnapshotSummary> snapshots = TRY(SnapshotsOf(store, name));
  if (global.json) {
    Json json = Json::array();
    for (const SnapshotSummary& snapshot : snapshots) json.push_back(SummaryToJson(snapshot));
    PrintJson(json);
  } else if (global.quiet) {
    for (const SnapshotSummary& snapshot : snapshots) fmt::print("{}\n", snapshot.id.ToString());
  } else if (snapshots.empty()) {
    PrintNotice("'" + name + "' has no snapshots yet; 'holdfast checkpoint " + name + "' takes one");
  } else {
    PrintTable(snapshots);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "snapshots",
      .summary = "list the snapshots of a job",
      .usage = "",
      .details =
          {"Oldest first. FREEZE: how long the job stood still; DRAIN: how long saving took while it ran on; "
           "MEMORY: what was captured; STORED: what the snapshot added to the store."},
      .examples = {{"holdfast snapshots train", "a table"},
                   {"holdfast snapshots train --json | jq '.[-1].freeze_ms'", "the last freeze"}},
      .exit_codes = {{"0", "listed"}, {"66", "there is no such job"}},
  };
}

}  // namespace

void AddSnapshotsCommand(CommandLine& line) {
  auto name = std::make_shared<std::string>();
  CLI::App& command = line.Add(Text(), [name](const GlobalOptions& global) { return Run(global, *name); });
  command.add_option("job", *name, "The job")->type_name("NAME")->required();
}

}  // namespace holdfast
