// The command line as a whole: parses, finds the command, prints what went wrong. Commands add themselves
// (see commands.h); help, man pages and completions are made from the same definition.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_text.h"
#include "store/store.h"

namespace holdfast {

// What every command has.
struct GlobalOptions {
  std::string store;  // empty: the default place
  bool quiet = false;
  bool json = false;
  std::vector<std::string> job_command;  // after "--"

  // For commands that keep something: makes the store when there is none.
  Result<Store> OpenOrMakeStore() const;
  // For commands about what is kept: kNotFound when there is none.
  Result<Store> OpenStore() const;
};

// Returns the exit code.
using Action = std::function<Result<int>(const GlobalOptions&)>;

class CommandLine {
 public:
  CommandLine();
  // Adds a command; the caller adds its options to what is returned.
  CLI::App& Add(CommandText text, Action action);
  // One that people do not need to see.
  CLI::App& AddHidden(CommandText text, Action action);

  int Run(int argc, char** argv);
  ProgramPage Describe() const;

 private:
  struct Command {
    CLI::App* app = nullptr;
    CommandText text;
    Action action;
    bool hidden = false;
  };
  Result<int> ParseAndRun(std::vector<std::string> arguments);
  const Command* Parsed() const;
  Result<void> RefuseWhatIsLeft(const Command* command) const;
  Error ExplainParseError(const std::string& message, const Command* command) const;
  int PrintHelp(const Command* command) const;

  CLI::App app_;
  GlobalOptions global_;
  std::vector<Command> commands_;
  bool help_ = false;
  bool version_ = false;
};

// The whole program.
int Main(int argc, char** argv);

}  // namespace holdfast
