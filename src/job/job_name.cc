#include "job/job_name.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/limits.h"

namespace holdfast {

namespace {

bool IsInterpreter(std::string_view program) {
  static constexpr std::array<std::string_view, 12> kInterpreters = {
      "python", "pypy", "sh", "bash", "dash", "zsh", "perl", "ruby", "node", "java", "Rscript", "env"};
  return std::any_of(kInterpreters.begin(), kInterpreters.end(), [&](std::string_view interpreter) {
    if (!program.starts_with(interpreter)) return false;
    const std::string_view version = program.substr(interpreter.size());  // "3.11"
    return version.find_first_not_of("0123456789.") == std::string_view::npos;
  });
}

std::string_view LastComponent(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view WithoutSuffix(std::string_view file) {
  const size_t dot = file.rfind('.');
  return dot == std::string_view::npos || dot == 0 ? file : file.substr(0, dot);
}

// What an interpreter runs: its first argument that is no option. One with a space is program text ("-c
// ...").
std::string_view ScriptOf(const std::vector<std::string>& command) {
  for (size_t i = 1; i < command.size(); ++i) {
    const std::string_view argument = command[i];
    if (argument == "-m" && i + 1 < command.size()) return command[i + 1];  // python -m module
    if (argument.starts_with('-')) {
      if (argument == "-c" || argument == "-e") return {};
      continue;
    }
    const bool plain = argument.find_first_of(" \t\n;|&") == std::string_view::npos;
    return plain ? LastComponent(argument) : std::string_view{};
  }
  return {};
}

}  // namespace

std::string NameForCommand(const std::vector<std::string>& command) {
  static constexpr size_t kNameBytesMax = limits::kLineageNameBytesMax - 10;  // leaves room for "-12345"
  const std::string_view program = command.empty() ? std::string_view{} : LastComponent(command[0]);
  std::string_view word = program;
  if (IsInterpreter(program)) {
    const std::string_view script = ScriptOf(command);
    if (!script.empty()) word = WithoutSuffix(script);
  }
  std::string name;
  for (const char c : word.substr(0, kNameBytesMax)) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    if (name.empty() && std::isalnum(static_cast<unsigned char>(c)) == 0) continue;
    name += plain && static_cast<unsigned char>(c) < 0x80 ? c : '-';
  }
  return name.empty() ? "job" : name;
}

Result<std::string> FreeNameForCommand(const std::vector<std::string>& command,
                                       const std::function<bool(const std::string&)>& taken) {
  static constexpr int kAttemptsMax = 100'000;
  const std::string word = NameForCommand(command);
  if (!taken(word)) return word;
  for (int i = 2; i < kAttemptsMax; ++i) {
    std::string name = word + "-" + std::to_string(i);
    if (!taken(name)) return name;
  }
  return Fail(ErrorKind::kExists, "every name from '" + word + "' on is taken")
      .WithHint("give one with --name");
}

}  // namespace holdfast
