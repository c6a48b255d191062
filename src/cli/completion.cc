#include <fmt/format.h>

#include <algorithm>

#include "cli/generate.h"

namespace holdfast {

namespace {

// What can stand for a value: names that the store knows, a directory, one of some words, or anything.
enum class Values { kNames, kDirectories, kWords, kAnything };

Values ValuesOf(const std::string& value) {
  if (value.starts_with("NAME")) return Values::kNames;
  if (value == "DIR") return Values::kDirectories;
  const bool words = value.find('|') != std::string::npos;
  return words ? Values::kWords : Values::kAnything;
}

std::string Words(std::string alternatives) {
  std::replace(alternatives.begin(), alternatives.end(), '|', ' ');
  return alternatives;
}

std::vector<OptionText> AllOptions(const CommandPage& page, const CommandPage& program) {
  std::vector<OptionText> options = page.options;
  options.insert(options.end(), program.options.begin(), program.options.end());
  return options;
}

std::string JoinNames(const std::vector<OptionText>& options) {
  std::string text;
  for (const OptionText& option : options) {
    for (const std::string& name : option.names) text += (text.empty() ? "" : " ") + name;
  }
  return text;
}

std::string JoinAlternatives(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : "|") + name;
  return text;
}

std::string BashValue(const OptionText& option) {
  switch (ValuesOf(option.value)) {
    case Values::kNames:
      return "mapfile -t COMPREPLY < <(compgen -W \"$(_holdfast_names)\" -- \"$word\")";
    case Values::kDirectories:
      return "mapfile -t COMPREPLY < <(compgen -d -- \"$word\")";
    case Values::kWords:
      return fmt::format("mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")", Words(option.value));
    case Values::kAnything:
      return "COMPREPLY=()";
  }
  return {};
}

// The options of one command that take a value, as branches of a case on the word before.
std::string BashOptionCases(const std::vector<OptionText>& options) {
  std::string text;
  for (const OptionText& option : options) {
    if (option.value.empty()) continue;
    text += fmt::format("        {}) {}; return ;;\n", JoinAlternatives(option.names), BashValue(option));
  }
  return text;
}

std::string ShellQuote(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// In zsh's _arguments, brackets and colons mean something.
std::string ZshEscape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string ZshAction(const std::string& value) {
  switch (ValuesOf(value)) {
    case Values::kNames:
      return "_holdfast_names";
    case Values::kDirectories:
      return "_files -/";
    case Values::kWords:
      return "(" + Words(value) + ")";
    case Values::kAnything:
      return " ";
  }
  return " ";
}

std::string ZshArguments(const CommandPage& page, const CommandPage& program) {
  std::string text;
  for (const OptionText& option : AllOptions(page, program)) {
    for (const std::string& name : option.names) {
      std::string spec = name + "[" + ZshEscape(option.description) + "]";
      if (!option.value.empty()) spec += ":" + ZshEscape(option.value) + ":" + ZshAction(option.value);
      text += " \\\n        " + ShellQuote(spec);
    }
  }
  for (const OptionText& argument : page.arguments) {
    const std::string spec =
        (argument.repeated ? "*:" : ":") + ZshEscape(argument.value) + ":" + ZshAction(argument.value);
    text += " \\\n        " + ShellQuote(spec);
  }
  if (page.text.name == "run") text += " \\\n        '*::command:_normal'";
  return text;
}

std::string FishOption(const OptionText& option, const std::string& condition) {
  std::string line = "complete -c holdfast" + condition;
  for (const std::string& name : option.names) {
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  if (!option.value.empty()) {
    line += " -r";
    if (ValuesOf(option.value) == Values::kNames) line += " -f -a '(holdfast generate names 2>/dev/null)'";
    if (ValuesOf(option.value) == Values::kDirectories) line += " -a '(__fish_complete_directories)'";
    if (ValuesOf(option.value) == Values::kWords) line += " -f -a " + ShellQuote(Words(option.value));
    if (ValuesOf(option.value) == Values::kAnything) line += " -f";
  }
  return line + " -d " + ShellQuote(option.description) + "\n";
}

}  // namespace

std::string FormatBashCompletion(const ProgramPage& program) {
  std::string commands;
  std::string cases;
  for (const CommandPage& page : program.commands) {
    commands += (commands.empty() ? "" : " ") + page.text.name;
    const std::vector<OptionText> options = AllOptions(page, program.program);
    const bool names = !page.arguments.empty() && ValuesOf(page.arguments[0].value) == Values::kNames;
    cases += fmt::format("    {})\n      case \"$before\" in\n{}      esac\n", page.text.name,
                         BashOptionCases(options));
    cases +=
        fmt::format("      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$word\")\n", JoinNames(options));
    if (names) cases += "      [[ $word == -* ]] || " + BashValue(page.arguments[0]) + "\n";
    cases += "      ;;\n";
  }
  return fmt::format(R"sh(# bash completion for holdfast, written by 'holdfast generate bash'

_holdfast_names() {{
  holdfast generate names 2>/dev/null
}}

_holdfast() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command='' i
  # The '=' and '@' of a word are no reason to begin a new one.
  if declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref -n =@ -c word -p before
  fi
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ ${{COMP_WORDS[i]}} == -- ]]; then
      # After "--" comes the user's own command.
      if declare -F _command_offset >/dev/null; then _command_offset $((i + 1)); fi
      return
    fi
    if [[ -z $command && " {0} " == *" ${{COMP_WORDS[i]}} "* ]]; then command=${{COMP_WORDS[i]}}; fi
  done
  case "$command" in
    '')
      case "$before" in
{1}      esac
      mapfile -t COMPREPLY < <(compgen -W '{0} {2}' -- "$word")
      ;;
{3}  esac
}}

complete -F _holdfast holdfast
)sh",
                     commands, BashOptionCases(program.program.options), JoinNames(program.program.options),
                     cases);
}

std::string FormatZshCompletion(const ProgramPage& program) {
  std::string commands;
  std::string cases;
  for (const CommandPage& page : program.commands) {
    commands += "\n    " + ShellQuote(page.text.name + ":" + ZshEscape(page.text.summary));
    cases += fmt::format("    {})\n      _arguments -s{}\n      ;;\n", page.text.name,
                         ZshArguments(page, program.program));
  }
  CommandPage nothing;
  // clang-format takes the body for C++ and breaks it.
  // clang-format off
  return fmt::format(R"zsh(#compdef holdfast
# zsh completion for holdfast, written by 'holdfast generate zsh'

_holdfast_names() {{
  local -a names
  names=(${{(f)"$(holdfast generate names 2>/dev/null)"}})
  compadd -a names
}}

_holdfast() {{
  local curcontext="$curcontext" state line
  local -a commands
  commands=({0})
  _arguments -C{1} \
        '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe -t commands 'holdfast command' commands; return ;;
  esac
  case $line[1] in
{2}  esac
}}

_holdfast "$@"
)zsh",
                     commands, ZshArguments(nothing, program.program), cases);
  // clang-format on
}

std::string FormatFishCompletion(const ProgramPage& program) {
  std::string text = "# fish completion for holdfast, written by 'holdfast generate fish'\n\n";
  text += "complete -c holdfast -f\n";
  for (const OptionText& option : program.program.options) text += FishOption(option, "");
  for (const CommandPage& page : program.commands) {
    const std::string& name = page.text.name;
    text += fmt::format("\ncomplete -c holdfast -n __fish_use_subcommand -a {} -d {}\n", name,
                        ShellQuote(page.text.summary));
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", name);
    for (const OptionText& option : page.options) text += FishOption(option, condition);
    if (!page.arguments.empty() && ValuesOf(page.arguments[0].value) == Values::kNames) {
      text += "complete -c holdfast" + condition + " -a '(holdfast generate names 2>/dev/null)'\n";
    }
    if (name == "run") {
      text += "complete -c holdfast" + condition + " -a '(__fish_complete_subcommand --fcs-skip=2)'\n";
    }
  }
  return text;
}

}  // namespace holdfast
