#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/units.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/progress_display.h"
#include "job/signal_fence.h"

namespace holdfast {

namespace {

Result<VerifyReport> Verify(const GlobalOptions& global, bool read_data) {
  const SignalFence fence;
  const std::unique_ptr<Progress> progress = MakeProgress(global.quiet || global.json);
  const Store store = TRY(global.OpenStore());
  return store.Verify(read_data, progress.get());
}

Result<int> Run(const GlobalOptions& global, bool read_data) {
  const VerifyReport report = TRY(Verify(global, read_data));
  const bool ok = report.problems.empty();
  if (global.json) {
    PrintJson({{"ok", ok},
               {"snapshots_checked", report.snapshots_checked},
               {"blocks_checked", report.blocks_checked},
               {"bytes_read", report.bytes_read},
               {"problems", report.problems}});
  } else {
    for (const std::string& problem : report.problems) fmt::print("{}\n", problem);
    if (!global.quiet) {
      fmt::print("{}: {} snapshots, {} blocks, {} read{}\n", ok ? "all is well" : "damaged",
                 report.snapshots_checked, report.blocks_checked, FormatBytes(report.bytes_read),
                 read_data ? "" : " (--read-data reads every block)");
    }
  }
  return ok ? 0 : ExitCode(ErrorKind::kCorrupt);
}

CommandText Text() {
  return {
      .name = "verify",
      .summary = "look for damage in the store",
      .usage = "",
      .details = {"Checks that every snapshot's description is whole and that all it refers to is there. "
                  "With --read-data "
                  "every block is read, decompressed and compared with its checksum. Changes nothing."},
      .examples = {{"holdfast verify", "structure and references: quick"},
                   {"holdfast verify --read-data", "every byte: as fast as the disk"}},
      .exit_codes = {{"0", "all is well"}, {"65", "there is damage; each finding says where and what to do"}},
  };
}

}  // namespace

void AddVerifyCommand(CommandLine& line) {
  auto read_data = std::make_shared<bool>(false);
  CLI::App& command =
      line.Add(Text(), [read_data](const GlobalOptions& global) { return Run(global, *read_data); });
  command.add_flag("--read-data", *read_data, "Read every block and compare its checksum");
}

}  // namespace holdfast
