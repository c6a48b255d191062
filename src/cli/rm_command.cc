#include <CLI/CLI.hpp>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/removal_output.h"

namespace holdfast {

namespace {

Result<int> Run(const GlobalOptions& global, const std::vector<std::string>& words) {
  std::vector<SnapshotId> ids;
  for (const std::string& word : words) ids.push_back(TRY(ParseSnapshotId(word)));
  Store store = TRY(global.OpenStore());
  Removal all;
  for (const SnapshotId& id : ids) {
    const Removal one = TRY(RemoveJobOrSnapshot(store, id));
    all.removed.insert(all.removed.end(), one.removed.begin(), one.removed.end());
    all.bytes_freed += one.bytes_freed;
  }
  PrintRemoval(all, global, /*dry_run=*/false);
  return 0;
}

CommandText Text() {
  return {
      .name = "rm",
      .summary = "remove a snapshot, or a job with all it has",
      .usage = "",
      .details = {"NAME@N removes one snapshot; the others do not need it. NAME removes the job's record, "
                  "its logs and "
                  "all of its snapshots; a job that runs is refused. There is no way back."},
      .examples = {{"holdfast rm train@1 train@2", "two snapshots"},
                   {"holdfast rm train", "everything of that job"}},
      .exit_codes = {{"0", "removed"}, {"66", "there is no such job or snapshot"}, {"76", "the job runs"}},
  };
}

}  // namespace

void AddRmCommand(CommandLine& line) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App& command = line.Add(Text(), [words](const GlobalOptions& global) { return Run(global, *words); });
  command.add_option("what", *words, "Jobs or snapshots")->type_name("NAME[@N]")->required();
}

}  // namespace holdfast
