#include "cli/command_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <CLI/CLI.hpp>

#include "cli/exit_code.h"

namespace holdfast {

namespace {

constexpr size_t kLineWidth = 88;

std::string Wrap(const std::string& text, size_t indent, size_t first_indent) {
  std::string result(first_indent, ' ');
  size_t column = first_indent;
  bool begins = true;
  size_t at = 0;
  while (at < text.size()) {
    size_t end = text.find(' ', at);
    if (end == std::string::npos) end = text.size();
    const std::string word = text.substr(at, end - at);
    if (!begins && column + 1 + word.size() > kLineWidth) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
      begins = true;
    }
    if (!begins) {
      result += ' ';
      ++column;
    }
    result += word;
    column += word.size();
    begins = false;
    at = end + 1;
  }
  return result + "\n";
}

std::string OptionLabel(const OptionText& option) {
  if (option.names.empty()) return option.value + (option.repeated ? "..." : "");
  std::string label;
  for (const std::string& name : option.names) label += (label.empty() ? "" : ", ") + name;
  return option.value.empty() ? label : label + " " + option.value;
}

std::string FormatOptions(const std::string& title, const std::vector<OptionText>& options) {
  static constexpr size_t kIndent = 24;
  if (options.empty()) return {};
  std::string text = "\n" + title + "\n";
  for (const OptionText& option : options) {
    const std::string label = "  " + OptionLabel(option);
    if (label.size() + 2 > kIndent) {
      text += label + "\n" + Wrap(option.description, kIndent, kIndent);
    } else {
      text += label + Wrap(option.description, kIndent, kIndent - label.size());
    }
  }
  return text;
}

std::string FormatExamples(const std::vector<Example>& examples) {
  if (examples.empty()) return {};
  std::string text = "\nExamples\n";
  for (const Example& example : examples) {
    text += "  " + example.command + "\n" + Wrap(example.what, 6, 6);
  }
  return text;
}

}  // namespace

CommandPage DescribeCommand(const CLI::App& app, CommandText text) {
  CommandPage page;
  page.text = std::move(text);
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // hidden
    OptionText described;
    for (const std::string& name : option->get_snames()) described.names.push_back("-" + name);
    for (const std::string& name : option->get_lnames()) described.names.push_back("--" + name);
    if (option->get_items_expected_max() > 0) described.value = option->get_type_name();
    described.description = option->get_description();
    described.required = option->get_required();
    described.repeated = option->get_items_expected_max() > 1;
    (described.names.empty() ? page.arguments : page.options).push_back(std::move(described));
  }
  return page;
}

std::string UsageLine(const CommandPage& page) {
  std::string line = page.text.name == "holdfast" ? "holdfast" : "holdfast " + page.text.name;
  if (!page.text.usage.empty()) return line + " " + page.text.usage;
  if (!page.options.empty()) line += " [options]";
  for (const OptionText& argument : page.arguments) {
    const std::string label = OptionLabel(argument);
    line += argument.required ? " " + label : " [" + label + "]";
  }
  return line;
}

std::string FormatProgramHelp(const ProgramPage& page) {
  std::string text = page.program.text.summary + "\n\nUsage: " + UsageLine(page.program) + "\n";
  for (const std::string& paragraph : page.program.text.details) text += "\n" + Wrap(paragraph, 0, 0);
  text += "\nCommands\n";
  for (const CommandPage& command : page.commands) {
    text += fmt::format("  {:<12}{}\n", command.text.name, command.text.summary);
  }
  text += FormatOptions("Options of every command", page.program.options);
  text += FormatExamples(page.program.text.examples);
  text += "\nExit codes\n";
  for (const ExitCodeText& code : AllExitCodes()) {
    text += fmt::format("  {:<5}{:<14}", code.code, code.name) + Wrap(code.what, 21, 0);
  }
  return text + "\n'holdfast COMMAND --help' tells more about a command.\n";
}

std::string FormatCommandHelp(const CommandPage& page, const CommandPage& program) {
  std::string text =
      fmt::format("holdfast {}: {}\n\nUsage: {}\n", page.text.name, page.text.summary, UsageLine(page));
  for (const std::string& paragraph : page.text.details) text += "\n" + Wrap(paragraph, 0, 0);
  text += FormatOptions("Arguments", page.arguments);
  text += FormatOptions("Options", page.options);
  text += FormatOptions("Options of every command", program.options);
  text += FormatExamples(page.text.examples);
  text += "\nExit codes\n";
  for (const auto& [code, what] : page.text.exit_codes)
    text += fmt::format("  {:<10}", code) + Wrap(what, 12, 0);
  return text + "  others    64 usage, 66 not found, 77 permission, ...: 'holdfast --help' has them all\n";
}

}  // namespace holdfast
