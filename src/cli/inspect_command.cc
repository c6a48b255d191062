#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/clock.h"
#include "base/units.h"
#include "cli/arguments.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/snapshot_json.h"
#include "cli/trigger_options.h"
#include "job/job_book.h"

namespace holdfast {

namespace {

constexpr size_t kFilesShownMax = 40;

struct Flags {
  std::string snapshot;
  bool all = false;
};

// How memory was captured, what was expected of the freeze, and what came of it.
void PrintCapture(const Manifest& manifest) {
  const CheckpointFigures& figures = manifest.figures;
  fmt::print("  capture: {} ({})", figures.capture, figures.capture_reason);
  const std::optional<FreezeAccount> freeze = FreezeAccountOf(manifest);
  if (!freeze) return fmt::print("\n");
  fmt::print("; freeze predicted {}, was {}; {} pre-copy round{}; {} left\n",
             FormatMilliseconds(freeze->predicted_ms), FormatMilliseconds(figures.freeze_ms),
             freeze->precopy_rounds, freeze->precopy_rounds == 1 ? "" : "s",
             FormatBytes(freeze->written_bytes));
  if (freeze->budget_ms <= 0) return;
  fmt::print("  freeze budget {}: {}\n", FormatMilliseconds(freeze->budget_ms),
             freeze->budget_missed.empty() ? "kept" : "not kept, " + freeze->budget_missed);
}

void PrintOverview(const Manifest& manifest, const SnapshotSummary& summary) {
  const Environment& environment = manifest.environment;
  const CheckpointFigures& figures = manifest.figures;
  fmt::print("{}  {}, taken {} ({})\n", manifest.id.ToString(),
             manifest.kind == SnapshotKind::kFull ? "full" : "delta", FormatWallClock(manifest.created_ms),
             FormatAge(manifest.created_ms, WallClockMs()));
  fmt::print("  freeze {}, drain {}; {} of memory, {} stored\n", FormatMilliseconds(figures.freeze_ms),
             FormatMilliseconds(figures.drain_ms), FormatBytes(figures.bytes_captured),
             FormatBytes(figures.bytes_stored));
  PrintCapture(manifest);
  fmt::print("  on {}: Linux {}, {}, {}; criu {}, holdfast {}\n", environment.hostname,
             environment.kernel_release, environment.machine, environment.cpu_model, environment.criu_version,
             environment.holdfast_version);
  for (const auto& [key, value] : summary.annotations) fmt::print("  {}: {}\n", key, value);
  for (const std::string& warning : manifest.warnings) fmt::print("  warning: {}\n", warning);
}

uint64_t StoredBytes(const Manifest& manifest, const ProcessInfo& process) {
  const AddressSpace* space = FindAddressSpace(manifest, process.pid);
  return space == nullptr ? 0 : StoredBytesWithin(*space, 0, UINT64_MAX);
}

void PrintProcesses(const Manifest& manifest) {
  using Align = Table::Align;
  Table table({{"PID", Align::kRight},
               {"PARENT", Align::kRight},
               {"UID", Align::kRight},
               {"THREADS", Align::kRight},
               {"MEMORY", Align::kRight},
               {"FILES", Align::kRight},
               {"DIRECTORY"},
               {"COMMAND"}});
  for (const ProcessInfo& process : manifest.processes) {
    const std::string command = FormatCommand(process.command_line);
    table.Row({std::to_string(process.pid), std::to_string(process.parent), std::to_string(process.uid),
               std::to_string(process.threads.size()), FormatBytes(StoredBytes(manifest, process)),
               std::to_string(process.files.size()), process.working_directory,
               command.empty() ? "[" + process.name + "]" : command});
  }
  fmt::print("\nProcesses\n");
  table.Print();
}

void PrintSharedMemory(const Manifest& manifest) {
  if (manifest.shared_objects.empty()) return;
  Table table({{"MEMORY", Table::Align::kRight}, {"NAME"}});
  for (const SharedObject& object : manifest.shared_objects) {
    const AddressSpace pages{.pid = 0, .extents = object.extents};
    table.Row({FormatBytes(StoredBytesWithin(pages, 0, UINT64_MAX)), object.name});
  }
  fmt::print("\nShared memory\n");
  table.Print();
}

void PrintFiles(const Manifest& manifest, bool all) {
  if (manifest.files.empty()) return;
  using Align = Table::Align;
  Table table(
      {{"SIZE", Align::kRight}, {"MODE", Align::kRight}, {"OWNER", Align::kRight}, {"KEPT"}, {"PATH"}});
  size_t shown = 0;
  for (const FileState& file : manifest.files) {
    if (!all && shown == kFilesShownMax) break;
    ++shown;
    table.Row({FormatBytes(file.bytes), fmt::format("{:04o}", file.mode),
               fmt::format("{}:{}", file.uid, file.gid),
               !file.content_kept     ? "size only"
               : file.kept_by.empty() ? "content"  // by an earlier version
                                      : file.kept_by,
               file.path});
  }
  fmt::print("\nFiles\n");
  table.Print();
  if (shown < manifest.files.size())
    fmt::print("  ... and {} more; --all lists them\n", manifest.files.size() - shown);
  for (const FileTree& tree : manifest.trees)
    fmt::print("  all that was in {} ({} names)\n", tree.path, tree.entries.size() - 1);
}

void PrintInside(const Manifest& manifest, const ProcessInfo& process) {
  fmt::print("\nProcess {} {}\n", process.pid, FormatCommand(process.command_line));
  const AddressSpace* space = FindAddressSpace(manifest, process.pid);
  for (const ProcessInfo::Mapping& mapping : process.mappings) {
    const uint64_t stored = space == nullptr ? 0 : StoredBytesWithin(*space, mapping.start, mapping.end);
    fmt::print("  {:012x}-{:012x} {} {:>10} of {:>10}  {}\n", mapping.start, mapping.end, mapping.permissions,
               FormatBytes(stored), FormatBytes(mapping.end - mapping.start), mapping.name);
  }
  for (const ProcessInfo::OpenFile& file : process.files) fmt::print("  fd {:<4} {}\n", file.fd, file.target);
  for (const std::string& variable : process.environment) fmt::print("  {}\n", variable);
}

// Of the job that the snapshot is of; nothing when this machine knows no such job.
std::optional<TriggerSettings> TriggersOf(const Store& store, const std::string& name) {
  const Result<JobRecord> record = JobBook(store.JobsDirectory()).Load(name);
  if (!record) return std::nullopt;
  return record->triggers;
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const Store store = TRY(global.OpenStore());
  const SnapshotId id = TRY(FindSnapshot(store, flags.snapshot));
  const SnapshotSummary summary = TRY(FindSummary(store, id));
  const Manifest manifest = TRY(store.Load(id));
  const std::optional<TriggerSettings> triggers = TriggersOf(store, id.lineage);
  if (global.json) {
    Json json = ManifestToJson(manifest, summary);
    json["triggers"] = triggers ? TriggersToJson(*triggers) : Json(nullptr);
    PrintJson(json);
    return 0;
  }
  PrintOverview(manifest, summary);
  if (triggers) {
    const std::string when = DescribeTriggers(*triggers);
    fmt::print("  snapshots of {}: {}\n", id.lineage, when.empty() ? "by hand" : when);
  }
  PrintProcesses(manifest);
  PrintSharedMemory(manifest);
  PrintFiles(manifest, flags.all);
  if (flags.all) {
    for (const ProcessInfo& process : manifest.processes) PrintInside(manifest, process);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "inspect",
      .summary = "show what is inside a snapshot",
      .usage = "",
      .details =
          {"Where and when it was taken and what that cost; its processes, shared memory and the files that "
           "it "
           "puts back. With --all (and always with --json) also every process's memory map, open files and "
           "environment, which may hold secrets. And when snapshots of the job are taken by themselves."},
      .examples = {{"holdfast inspect train", "the newest snapshot"},
                   {"holdfast inspect train@3 --all", "every mapping, file and variable"},
                   {"holdfast inspect train@3 --json | jq '.processes[].command'", "for a script"}},
      .exit_codes = {{"0", "shown"}, {"65", "the snapshot is damaged"}, {"66", "there is no such snapshot"}},
  };
}

}  // namespace

void AddInspectCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The snapshot; NAME alone is the newest")
      ->type_name("NAME[@N]")
      ->required();
  command.add_flag("-a,--all", flags->all, "Memory maps, open files and environment as well");
}

}  // namespace holdfast
