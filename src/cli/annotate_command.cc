#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cli/arguments.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace holdfast {

namespace {

struct Flags {
  std::string snapshot;
  std::vector<std::string> pairs;
};

Result<int> Run(const GlobalOptions& global, const Flags& flags) {
  const std::map<std::string, std::string> pairs = TRY(ParsePairs(flags.pairs));
  Store store = TRY(global.OpenStore());
  const SnapshotId id = TRY(FindSnapshot(store, flags.snapshot));
  if (!pairs.empty()) TRY(store.Annotate(id, pairs));
  const SnapshotSummary summary = TRY(FindSummary(store, id));
  if (global.json) {
    PrintJson({{"snapshot", id.ToString()}, {"annotations", summary.annotations}});
  } else if (!global.quiet || pairs.empty()) {
    fmt::print("{}\n", id.ToString());
    for (const auto& [key, value] : summary.annotations) fmt::print("  {}={}\n", key, value);
  }
  return 0;
}

CommandText Text() {
  return {
      .name = "annotate",
      .summary = "describe a snapshot",
      .usage = "",
      .details = {"Sets annotations, at any time after it was taken; an empty value removes one. 'note' is "
                  "the one that "
                  "'checkpoint --note' sets. Without pairs: shows them."},
      .examples = {{"holdfast annotate train@3 loss=0.21 note='best so far'", "set two"},
                   {"holdfast annotate train@3 loss=", "remove one"}},
      .exit_codes = {{"0", "they are set"}, {"66", "there is no such snapshot"}},
  };
}

}  // namespace

void AddAnnotateCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.Add(Text(), [flags](const GlobalOptions& global) { return Run(global, *flags); });
  command.add_option("snapshot", flags->snapshot, "The snapshot; NAME alone is its present")
      ->type_name("NAME[@N]")
      ->required();
  command.add_option("pairs", flags->pairs, "What to set; 'KEY=' removes it")->type_name("KEY=VALUE");
}

}  // namespace holdfast
