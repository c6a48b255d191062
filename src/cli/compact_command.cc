#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/units.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

struct Flags {
  std::string job;
  bool dry_run = false;
};

// How many times what is live the segments take. Requires: something is.
double Ratio(const StoreFill& fill) {
  return static_cast<double>(fill.bytes) / static_cast<double>(fill.live_bytes);
}

Json FillJson(const StoreFill& fill) {
  return {{"segments", fill.segments},
          {"bytes", fill.bytes},
          {"live_bytes", fill.live_bytes},
          {"ratio", fill.live_bytes == 0 ? Json() : Json(Ratio(fill))}};
}

std::string FillText(const StoreFill& fill) {
  std::string text = fmt::format("{} in {} segment{}", FormatBytes(fill.bytes), fill.segments,
                                 fill.segments == 1 ? "" : "s");
  if (fill.live_bytes == 0) return text;
  return text + fmt::format(", {:.2f} times what snapshots need", Ratio(fill));
}

Result<CompactReport> Compact(const GlobalOptions& global, const Flags& flags) {
  const SignalFence fence;
  const std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
  Store store = TRY(global.OpenStore());
  return store.Compact(flags.job, flags.dry_run, progress.get());
}

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const CompactReport report = TRY(Compact(global, flags));
  if (global.json) {
    PrintJson({{"dry_run", flags.dry_run},
               {"before", FillJson(report.before)},
               {"after", FillJson(report.after)},
               {"segments_rewritten", report.segments_rewritten},
               {"snapshots_rewritten", report.snapshots_rewritten},
               {"bytes_copied", report.bytes_copied}});
    return 0;
  }
  if (global.quiet) return 0;
  fmt::print("before: {}\n", FillText(report.before));
  fmt::print("{}: {}\n", flags.dry_run ? "it would be" : "after", FillText(report.after));
  if (report.segments_rewritten > 0) {
    fmt::print("{} {} out of {} of them\n", flags.dry_run ? "would copy" : "copied",
               FormatBytes(report.bytes_copied), report.segments_rewritten);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "compact",
      .summary = "stack deltas, give back the room between what snapshots need",
      .usage = "",
      .details =
          {"A snapshot stores what changed and shares the rest with earlier ones. Once some of them are "
           "gone, what is still needed lies scattered over segments that are mostly not. This copies "
           "it together, checks it on the way, and frees the old segments. Of one job (and its clones, "
           "which share segments with it), or of all. The jobs have no part in it: they may run, be "
           "checkpointed and resumed meanwhile.",
           "Every snapshot stays, restores bit for bit, and keeps its name, parent and notes. Afterwards "
           "the segments take at most 1.1 times what snapshots need. Removes no snapshot: 'prune' "
           "does, and is best run before.",
           "Works in batches, so that it needs little room at a time. Stopped at any moment, even by "
           "kill -9, it leaves the store as it should be, and what was done is done. Room of what a "
           "running restart still reads is given back when that ends."},
      .examples = {{"holdfast prune --keep 3 train && holdfast compact train",
                    "three versions, and only them"},
                   {"holdfast compact --dry-run", "how much it would give back, everywhere"}},
      .exit_codes = {{"0", "done, or nothing to do"},
                     {"65", "there is damage in the way; 'holdfast verify' says more"},
                     {"66", "there is no such job"},
                     {"72", "there is no room for the next copy; says how much it needs"},
                     {"76", "another compaction runs"},
                     {"130", "stopped by Ctrl-C; what was done is done"}},
  };
}

}  // namespace

void AddCompactCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("job", flags->job, "The job; all when none is named")->type_name("NAME");
  command.add_flag("--dry-run", flags->dry_run, "Only say what would be won");
}

}  // namespace holdfast
