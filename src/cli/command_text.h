// What a command says about itself: in its help, its man page and the shell's completions.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming)
class App;
}

namespace holdfast {

struct Example {
  std::string command;
  std::string what;
};

struct CommandText {
  std::string name;
  std::string summary;               // a few words, no full stop
  std::string usage;                 // after the name; made from the options when empty
  std::vector<std::string> details;  // paragraphs
  std::vector<Example> examples;
  std::vector<std::pair<std::string, std::string>> exit_codes;  // those with a meaning of their own here
};

// An option or an argument, out of CLI11's definition.
struct OptionText {
  std::vector<std::string> names;  // "-f", "--follow"; empty: an argument
  std::string value;               // "DIR"; empty: a switch
  std::string description;
  bool required = false;
  bool repeated = false;
};

// A command with its options.
struct CommandPage {
  CommandText text;
  std::vector<OptionText> options;
  std::vector<OptionText> arguments;
};

// The program: its own page (global options) and those of its commands, in the order of the help.
struct ProgramPage {
  CommandPage program;
  std::vector<CommandPage> commands;
};

CommandPage DescribeCommand(const CLI::App& app, CommandText text);

std::string UsageLine(const CommandPage& page);  // "holdfast run [options] -- COMMAND..."
std::string FormatProgramHelp(const ProgramPage& page);
std::string FormatCommandHelp(const CommandPage& page, const CommandPage& program);

}  // namespace holdfast
