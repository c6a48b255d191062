#include "cli/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/store_location.h"
#include "job/did_you_mean.h"

namespace holdfast {

namespace {

CommandText ProgramText() {
  return {
      .name = "holdfast",
      .summary = "Holdfast checkpoints running jobs and restarts them hot",
      .usage = "COMMAND [options] [arguments]",
      .details =
          {"A job is a program that you start with 'holdfast run', or any process tree that runs already. A "
           "checkpoint freezes it for some milliseconds, lets it go on at once and saves its memory while it "
           "runs. The result is a snapshot, NAME@1, NAME@2, ...; 'holdfast resume' restarts the job from one "
           "of them as if nothing had happened."},
      .examples = {{"holdfast run --every 30s -- python3 train.py",
                    "start a job, take a snapshot of it every 30 seconds"},
                   {"holdfast resume train", "go on from its newest snapshot after a crash or a reboot"},
                   {"holdfast checkpoint --pid 4711 --name sim --stop",
                    "move a program that runs already into a snapshot"}},
      .exit_codes = {},
  };
}

bool IsOption(const std::string& word) {
  return word.size() > 1 && word[0] == '-';
}

}  // namespace

CommandLine::CommandLine() : app_("", "holdfast") {
  app_.set_help_flag();  // ours, below: it shows our own pages
  app_.add_option("--store", global_.store,
                  "The store's directory (else $HOLDFAST_STORE, else " + DefaultStoreText() + ")")
      ->type_name("DIR");
  app_.add_flag("--json", global_.json, "Print one JSON document on stdout, errors too");
  app_.add_flag("-q,--quiet", global_.quiet, "Print nothing but results and errors");
  app_.add_flag("-h,--help", help_, "Show what a command does, with examples");
  app_.add_flag("--version", version_, "Print the version");
  app_.allow_extras();  // looked at by RefuseWhatIsLeft, which has better words
  app_.fallthrough();
  app_.require_subcommand(0, 1);
}

CLI::App& CommandLine::Add(CommandText text, Action action) {
  CLI::App* app = app_.add_subcommand(text.name, text.summary);
  app->set_help_flag();
  commands_.push_back({.app = app, .text = std::move(text), .action = std::move(action)});
  return *app;
}

CLI::App& CommandLine::AddHidden(CommandText text, Action action) {
  CLI::App& app = Add(std::move(text), std::move(action));
  commands_.back().hidden = true;
  return app;
}

ProgramPage CommandLine::Describe() const {
  ProgramPage page;
  page.program = DescribeCommand(app_, ProgramText());
  for (const Command& command : commands_) {
    if (!command.hidden) page.commands.push_back(DescribeCommand(*command.app, command.text));
  }
  return page;
}

const CommandLine::Command* CommandLine::Parsed() const {
  for (const Command& command : commands_) {
    if (command.app->parsed()) return &command;
  }
  return nullptr;
}

int CommandLine::PrintHelp(const Command* command) const {
  const ProgramPage page = Describe();
  if (command == nullptr) {
    fmt::print("{}", FormatProgramHelp(page));
  } else {
    fmt::print("{}", FormatCommandHelp(DescribeCommand(*command->app, command->text), page.program));
  }
  return 0;
}

Error CommandLine::ExplainParseError(const std::string& message, const Command* command) const {
  const std::string name = command != nullptr ? "holdfast " + command->text.name : "holdfast";
  Error error = Fail(ErrorKind::kUsage, name + ": " + message);
  error.hint = "'holdfast --help' lists the commands and the options for all of them";
  if (command != nullptr) {
    error.hint = "usage: " + UsageLine(DescribeCommand(*command->app, command->text)) + " ('" + name +
                 " --help' has examples)";
  }
  return error;
}

Result<void> CommandLine::RefuseWhatIsLeft(const Command* command) const {
  const std::vector<std::string> rest = app_.remaining(/*recurse=*/true);
  if (rest.empty()) return {};
  const auto option = std::find_if(rest.begin(), rest.end(), IsOption);
  const ProgramPage page = Describe();
  if (option != rest.end()) {
    std::vector<std::string> known;
    auto add = [&](const CommandPage& of) {
      for (const OptionText& each : of.options)
        known.insert(known.end(), each.names.begin(), each.names.end());
    };
    add(page.program);
    if (command != nullptr) add(DescribeCommand(*command->app, command->text));
    Error error = ExplainParseError("unknown option '" + *option + "'", command);
    const std::string near = DidYouMean(option->substr(0, option->find('=')), known);
    if (!near.empty()) error.hint = near;
    return error;
  }
  if (command != nullptr) {
    if (command->text.name == "run") {
      return Fail(ErrorKind::kUsage, "holdfast run: the command comes after '--'")
          .WithHint("holdfast run [options] -- " + FormatCommand(rest));
    }
    return ExplainParseError("'" + rest.front() + "' is one argument too many", command);
  }
  std::vector<std::string> names;
  for (const CommandPage& each : page.commands) names.push_back(each.text.name);
  std::string hint = DidYouMean(rest.front(), names);
  if (hint.empty()) hint = "'holdfast --help' lists the commands";
  return Fail(ErrorKind::kUsage, "there is no command '" + rest.front() + "'").WithHint(std::move(hint));
}

Result<int> CommandLine::ParseAndRun(std::vector<std::string> arguments) {
  const auto separator = std::find(arguments.begin(), arguments.end(), "--");
  const bool separated = separator != arguments.end();
  if (separated) {
    global_.job_command.assign(separator + 1, arguments.end());
    arguments.erase(separator, arguments.end());
  }
  // Before parsing: an error of the parser is to be JSON, too.
  global_.json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.emplace_back("--help");
  }
  std::string problem;
  try {
    std::reverse(arguments.begin(), arguments.end());  // CLI11 wants the last one first
    app_.parse(arguments);
  } catch (const CLI::ParseError& error) {
    problem = error.what();
  }
  const Command* command = Parsed();
  if (version_) {
    fmt::print("holdfast {}\n", HOLDFAST_VERSION);
    return 0;
  }
  // Help needs none of the arguments that are required otherwise.
  if (help_ && (problem.empty() || command != nullptr)) {
    if (command == nullptr) TRY(RefuseWhatIsLeft(command));
    return PrintHelp(command);
  }
  if (!problem.empty()) return ExplainParseError(problem, command);
  TRY(RefuseWhatIsLeft(command));
  if (command == nullptr) {
    return Fail(ErrorKind::kUsage, "which command?").WithHint("'holdfast --help' lists them, with examples");
  }
  if (separated && command->text.name != "run") {
    return ExplainParseError("only 'run' takes a command after '--'", command);
  }
  return command->action(global_);
}

int CommandLine::Run(int argc, char** argv) {
  Result<int> code = 0;
  try {
    code = ParseAndRun({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    code = Fail(ErrorKind::kInternal, std::string("an unexpected fault: ") + error.what());
  }
  if (code) return *code;
  PrintError(code.error(), global_.json);
  return ExitCode(code.error().kind);
}

Result<Store> GlobalOptions::OpenOrMakeStore() const {
  return OpenStoreAt(store, IfMissing::kMake);
}
Result<Store> GlobalOptions::OpenStore() const {
  return OpenStoreAt(store, IfMissing::kFail);
}

int Main(int argc, char** argv) {
  CommandLine line;
  AddRunCommand(line);
  AddCheckpointCommand(line);
  AddResumeCommand(line);
  AddRollbackCommand(line);
  AddCloneCommand(line);
  AddPsCommand(line);
  AddSnapshotsCommand(line);
  AddInspectCommand(line);
  AddLogsCommand(line);
  AddAttachCommand(line);
  AddAnnotateCommand(line);
  AddNoteCommand(line);
  AddRmCommand(line);
  AddPruneCommand(line);
  AddCompactCommand(line);
  AddVerifyCommand(line);
  AddDoctorCommand(line);
  AddOciCommand(line);
  AddGenerateCommand(line);
  return line.Run(argc, argv);
}

}  // namespace holdfast
