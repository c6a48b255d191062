#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/generate.h"
#include "job/job_list.h"

namespace holdfast {

namespace {

struct Flags {
  std::string what;
  std::string to;
};

Result<void> WriteManPages(const ProgramPage& program, const std::string& directory) {
  auto write = [&](const CommandPage& page, const std::string& name) -> Result<void> {
    const std::string path = directory + "/" + name + ".1";
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << FormatManPage(page, program);
    file.close();
    if (!file) return FailErrno("cannot write " + path);
    return {};
  };
  TRY(write(program.program, "holdfast"));
  for (const CommandPage& page : program.commands) TRY(write(page, "holdfast-" + page.text.name));
  return {};
}

// For completions: silent when there is no store.
void PrintNames(const GlobalOptions& global) {
  const Result<Store> store = global.OpenStore();
  if (!store) return;
  for (const std::string& name : KnownNames(*store)) fmt::print("{}\n", name);
}

Result<int> Run(const CommandLine& line, const GlobalOptions& global, const Flags& flags) {
  const ProgramPage program = line.Describe();
  if (flags.what == "names") {
    PrintNames(global);
  } else if (flags.what == "bash") {
    fmt::print("{}", FormatBashCompletion(program));
  } else if (flags.what == "zsh") {
    fmt::print("{}", FormatZshCompletion(program));
  } else if (flags.what == "fish") {
    fmt::print("{}", FormatFishCompletion(program));
  } else if (!flags.to.empty()) {
    TRY(WriteManPages(program, flags.to));
  } else {
    fmt::print("{}", FormatManPage(program.program, program));
    for (const CommandPage& page : program.commands) fmt::print("{}", FormatManPage(page, program));
  }
  return 0;
}

}  // namespace

void AddGenerateCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CommandText text{.name = "generate",
                   .summary = "write man pages and shell completions",
                   .usage = "",
                   .details = {},
                   .examples = {{"holdfast generate man --to DIR", "one page for each command"}},
                   .exit_codes = {{"0", "written"}}};
  CLI::App& command = line.AddHidden(
      std::move(text), [&line, flags](const GlobalOptions& global) { return Run(line, global, *flags); });
  command.add_option("what", flags->what, "What to write")
      ->type_name("man|bash|zsh|fish|names")
      ->required()
      ->check(CLI::IsMember({"man", "bash", "zsh", "fish", "names"}));
  command.add_option("--to", flags->to, "With man: a directory for the files; stdout when not given")
      ->type_name("DIR");
}

}  // namespace holdfast
