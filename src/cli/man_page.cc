#include <fmt/format.h>

#include "cli/exit_code.h"
#include "cli/generate.h"

namespace holdfast {

namespace {

// Text for troff: a line that begins with a dot or a quote would be a request, a backslash an escape.
std::string Escape(const std::string& text) {
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool line_begins = i == 0 || text[i - 1] == '\n';
    if (line_begins && (text[i] == '.' || text[i] == '\'')) escaped += "\\&";
    if (text[i] == '\\') {
      escaped += "\\e";
    } else if (text[i] == '-') {
      escaped += "\\-";
    } else if (text[i] == '\'') {
      escaped += "\\(aq";
    } else {
      escaped += text[i];
    }
  }
  return escaped;
}

std::string Options(const std::vector<OptionText>& options) {
  std::string text;
  for (const OptionText& option : options) {
    std::string label;
    for (const std::string& name : option.names) {
      label += (label.empty() ? "" : ", ") + ("\\fB" + Escape(name) + "\\fR");
    }
    if (!option.value.empty()) {
      label += (label.empty() ? "" : " ") + ("\\fI" + Escape(option.value) + "\\fR");
    }
    text += ".TP\n" + label + "\n" + Escape(option.description) + ".\n";
  }
  return text;
}

std::string Section(const std::string& title, const std::string& body) {
  return body.empty() ? body : ".SH " + title + "\n" + body;
}

std::string Examples(const std::vector<Example>& examples) {
  std::string text;
  for (const Example& example : examples) {
    text += ".TP\n\\fB" + Escape(example.command) + "\\fR\n" + Escape(example.what) + ".\n";
  }
  return text;
}

std::string Paragraphs(const std::vector<std::string>& paragraphs) {
  std::string text;
  for (const std::string& paragraph : paragraphs) text += ".PP\n" + Escape(paragraph) + "\n";
  return text;
}

std::string CommandList(const ProgramPage& program) {
  std::string text;
  for (const CommandPage& command : program.commands) {
    text +=
        ".TP\n\\fBholdfast " + Escape(command.text.name) + "\\fR(1)\n" + Escape(command.text.summary) + ".\n";
  }
  return text;
}

std::string ExitCodes(const CommandPage& page, bool is_program) {
  std::string text;
  for (const auto& [code, what] : page.text.exit_codes) {
    text += ".TP\n\\fB" + Escape(code) + "\\fR\n" + Escape(what) + ".\n";
  }
  if (!is_program) return text + ".PP\nThe others are those of \\fBholdfast\\fR(1).\n";
  for (const ExitCodeText& code : AllExitCodes()) {
    text += fmt::format(".TP\n\\fB{}\\fR ({})\n{}.\n", code.code, Escape(code.name), Escape(code.what));
  }
  return text;
}

std::string SeeAlso(const CommandPage& page, const ProgramPage& program) {
  std::string text;
  auto add = [&](const std::string& name) { text += (text.empty() ? "" : ",\n") + (".BR " + name + " (1)"); };
  const bool is_program = page.text.name == program.program.text.name;
  if (!is_program) add("holdfast");
  for (const CommandPage& command : program.commands) {
    if (command.text.name != page.text.name) add("holdfast\\-" + command.text.name);
  }
  // .BR puts what follows the name in roman; the comma belongs to the line.
  std::string lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find(",\n", at);
    lines += text.substr(at, end == std::string::npos ? end : end - at) +
             (end == std::string::npos ? "\n" : " ,\n");
    at = end == std::string::npos ? text.size() : end + 2;
  }
  return lines;
}

}  // namespace

std::string FormatManPage(const CommandPage& page, const ProgramPage& program) {
  const bool is_program = page.text.name == program.program.text.name;
  const std::string name = is_program ? "holdfast" : "holdfast-" + page.text.name;
  std::string text =
      fmt::format(".TH {} 1 \"\" \"Holdfast {}\" \"Holdfast\"\n", Escape(name), HOLDFAST_VERSION);
  text += Section("NAME", Escape(name) + " \\- " + Escape(page.text.summary) + "\n");
  text += Section("SYNOPSIS", "\\fB" + Escape(UsageLine(page)) + "\\fR\n");
  text += Section("DESCRIPTION", Paragraphs(page.text.details));
  if (is_program) text += Section("COMMANDS", CommandList(program));
  text += Section("ARGUMENTS", Options(page.arguments));
  text += Section("OPTIONS", Options(page.options));
  if (!is_program) text += Section("OPTIONS OF EVERY COMMAND", Options(program.program.options));
  text += Section("EXAMPLES", Examples(page.text.examples));
  text += Section("EXIT STATUS", ExitCodes(page, is_program));
  text += Section("ENVIRONMENT",
                  ".TP\n\\fBHOLDFAST_STORE\\fR\nThe store\\(aqs directory when there is no "
                  "\\fB\\-\\-store\\fR.\n");
  text += Section("SEE ALSO", SeeAlso(page, program));
  return text;
}

}  // namespace holdfast
