#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/units.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/snapshot_graph.h"
#include "cli/snapshot_json.h"
#include "job/annotation_filter.h"
#include "job/job_book.h"
#include "policy/trigger_source.h"

namespace holdfast {

namespace {

struct Flags {
  std::string job;
  bool graph = false;
  std::vector<std::string> where;
};

// The note first, then the other annotations.
std::string FormatAnnotations(const std::map<std::string, std::string>& annotations) {
  std::string text;
  if (const auto note = annotations.find("note"); note != annotations.end()) text = note->second;
  for (const auto& [key, value] : annotations) {
    if (key == "note" || key == kTriggerAnnotation) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : "  ", key, value);
  }
  return text;
}

// What made the supervisor take it; one that somebody asked for has none.
std::string TriggerOf(const SnapshotSummary& snapshot) {
  const auto trigger = snapshot.annotations.find(kTriggerAnnotation);
  return trigger == snapshot.annotations.end() ? "-" : trigger->second;
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
               {"TRIGGER"},
               {"NOTE"}});
  const int64_t now = WallClockMs();
  for (const SnapshotSummary& snapshot : snapshots) {
    table.Row({snapshot.id.ToString(), snapshot.kind == SnapshotKind::kFull ? "full" : "delta",
               FormatAge(snapshot.created_ms, now), FormatMilliseconds(snapshot.figures.freeze_ms),
               FormatMilliseconds(snapshot.figures.drain_ms), FormatBytes(snapshot.figures.bytes_captured),
               FormatBytes(snapshot.figures.bytes_stored), std::to_string(snapshot.process_count),
               TriggerOf(snapshot), FormatAnnotations(snapshot.annotations)});
  }
  table.Print();
}

void PrintGraph(const std::vector<GraphLine>& lines) {
  size_t width = 0;
  for (const auto& [rails, snapshot] : lines)
    width = std::max(width, rails.size() + snapshot.id.ToString().size());
  const int64_t now = WallClockMs();
  for (const auto& [rails, snapshot] : lines) {
    const std::string text =
        fmt::format("{:<{}}  {:<10}{:>10}{}  {}", rails + snapshot.id.ToString(), width,
                    FormatAge(snapshot.created_ms, now), FormatBytes(snapshot.figures.bytes_stored),
                    snapshot.present ? "  present" : "", FormatAnnotations(snapshot.annotations));
    fmt::print("{}\n", text.substr(0, text.find_last_not_of(' ') + 1));
  }
}

// A job that runs and has no snapshot yet is a name that exists.
Result<std::vector<SnapshotSummary>> SnapshotsOf(const Store& store, const std::string& name) {
  Result<std::vector<SnapshotSummary>> snapshots = store.Snapshots(name);
  const bool unknown = !snapshots && snapshots.error().kind == ErrorKind::kNotFound;
  if (unknown && JobBook(store.JobsDirectory()).Has(name)) return std::vector<SnapshotSummary>();
  return snapshots;
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const std::string& name = flags.job;
  TRY(ValidateLineageName(name));
  const std::vector<AnnotationFilter> filters = TRY(ParseFilters(flags.where));
  const Store store = TRY(global.OpenStore());
  std::vector<SnapshotSummary> snapshots = TRY(SnapshotsOf(store, name));
  if (flags.graph && !snapshots.empty()) snapshots = TRY(RelatedSnapshots(store, name));
  const bool any = !snapshots.empty();
  std::erase_if(snapshots, [&filters](const auto& snapshot) { return !AcceptedByAll(filters, snapshot); });
  if (global.json) {
    Json json = Json::array();
    for (const SnapshotSummary& snapshot : snapshots) json.push_back(SummaryToJson(snapshot));
    PrintJson(json);
  } else if (global.quiet) {
    for (const SnapshotSummary& snapshot : snapshots) fmt::print("{}\n", snapshot.id.ToString());
  } else if (any && snapshots.empty()) {
    PrintNotice("none of the snapshots of '" + name + "' is such");
  } else if (snapshots.empty()) {
    PrintNotice("'" + name + "' has no snapshots yet; 'holdfast checkpoint " + name + "' takes one");
  } else if (flags.graph) {
    PrintGraph(DrawGraph(snapshots, name));
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
           "MEMORY: what was captured; STORED: what the snapshot added to the store; TRIGGER: why the "
           "supervisor "
           "took it (interval, adaptive, dirty, signal, deadline, stop), '-' for one that somebody asked "
           "for.",
           "--graph draws which snapshot comes from which, with the clones of the job and what it is a clone "
           "of; "
           "'present' is the one that NAME alone stands for."},
      .examples = {{"holdfast snapshots train", "a table"},
                   {"holdfast snapshots train --graph", "the branches"},
                   {"holdfast snapshots train --where 'loss<0.3'", "only those"},
                   {"holdfast snapshots train --where trigger=signal", "those that a signal asked for"},
                   {"holdfast snapshots train --json | jq '.[-1].freeze_ms'", "the last freeze"}},
      .exit_codes = {{"0", "listed"}, {"66", "there is no such job"}},
  };
}

}  // namespace

void AddSnapshotsCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("job", flags->job, "The job")->type_name("NAME")->required();
  command.add_flag("-g,--graph", flags->graph, "Draw which comes from which, with related jobs");
  command.add_option("-w,--where", flags->where, "Only those with this annotation (also != < <= > >=)")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

}  // namespace holdfast
