#include "agent/agent_command_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <functional>

#include "agent/containerd_handler.h"
#include "agent/crio_handler.h"
#include "agent/marked_text.h"

namespace holdfast {

namespace {

constexpr int kFailed = 1;
constexpr int kNotInstalled = 2;
constexpr int kUsage = 64;

struct AgentOptions {
  std::vector<std::string> engines;
  HandlerOptions containerd;
  CrioOptions crio;
  std::string handler = "holdfast";
  std::string runtime;
  std::string containerd_program;
  bool dry_run = false;
};

// An engine, and what can be done about it.
struct Engine {
  std::string name;
  std::function<Result<HandlerPlan>()> install;
  std::function<Result<HandlerPlan>()> uninstall;
  std::function<Result<std::string>()> find;
};

std::filesystem::path OwnDirectory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::filesystem::path FindInPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const size_t colon = rest.find(':');
    std::filesystem::path file = std::filesystem::path(rest.substr(0, colon)) / program;
    if (file.is_absolute() && ::access(file.c_str(), X_OK) == 0) return file;
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return {};
}

// The options' last touch; which engines there are on this node when none was named.
Result<void> Complete(AgentOptions& options) {
  if (options.runtime.empty()) options.runtime = (OwnDirectory() / "holdfast-runtime").string();
  const std::filesystem::path runtime = options.runtime;
  if (!runtime.is_absolute())
    return Fail(ErrorKind::kUsage, "--runtime must be an absolute path: engines run it");
  options.containerd.name = options.crio.name = options.handler;
  options.containerd.runtime = options.crio.runtime = runtime;
  options.containerd.containerd = options.containerd_program.empty()
                                      ? FindInPath("containerd")
                                      : std::filesystem::path(options.containerd_program);
  if (!options.engines.empty()) return {};
  if (std::filesystem::exists(options.containerd.config) || !options.containerd.containerd.empty()) {
    options.engines.emplace_back("containerd");
  }
  if (std::filesystem::exists(options.crio.directory.parent_path())) options.engines.emplace_back("crio");
  if (!options.engines.empty()) return {};
  return Fail(ErrorKind::kNotFound, "there is no containerd and no CRI-O here")
      .WithHint("--engine containerd or --engine crio, with --containerd-config or --crio-directory");
}

std::vector<Engine> Engines(const AgentOptions& options) {
  std::vector<Engine> engines;
  for (const std::string& name : options.engines) {
    if (name == "containerd") {
      engines.push_back({"containerd", [&] { return PlanContainerdInstall(options.containerd); },
                         [&] { return PlanContainerdUninstall(options.containerd); },
                         [&] { return FindContainerdHandler(options.containerd); }});
    } else {
      engines.push_back({"CRI-O", [&] { return PlanCrioInstall(options.crio); },
                         [&] { return PlanCrioUninstall(options.crio); },
                         [&] { return FindCrioHandler(options.crio); }});
    }
  }
  return engines;
}

// The lines that only one of both has; they are the same up to one place and again after it.
void PrintDifference(const FileChange& change) {
  const std::string before = change.before.value_or("");
  const std::string after = change.after.value_or("");
  const size_t shorter = std::min(before.size(), after.size());
  size_t start = 0;
  while (start < shorter && before[start] == after[start]) ++start;
  while (start > 0 && before[start - 1] != '\n') --start;
  size_t tail = 0;
  while (tail < shorter - start && before[before.size() - 1 - tail] == after[after.size() - 1 - tail]) ++tail;
  auto print = [&](char sign, std::string_view text) {
    while (!text.empty()) {
      const size_t end = text.find('\n');
      fmt::print("  {}{}\n", sign, text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  };
  print('-', std::string_view(before).substr(start, before.size() - tail - start));
  print('+', std::string_view(after).substr(start, after.size() - tail - start));
}

void PrintPlan(const HandlerPlan& plan, bool dry_run) {
  for (const FileChange& change : plan.changes) {
    const char* what = !change.after ? "remove" : change.before ? "change" : "make";
    fmt::print("{}{} {}\n", dry_run ? "would " : "", what, change.path.string());
    if (dry_run) PrintDifference(change);
  }
  for (const std::string& note : plan.notes) fmt::print("note: {}\n", note);
}

std::filesystem::path BackupOf(const std::filesystem::path& path) {
  return path.string() + ".before-holdfast";
}

// A copy of what is changed, until it is as it was. Of files that are only ours there is none to keep.
Result<void> KeepBackups(const HandlerPlan& plan) {
  for (const FileChange& change : plan.changes) {
    if (!change.before || !change.after || TakeMarked(*change.before).rest.empty()) continue;
    const std::filesystem::path backup = BackupOf(change.path);
    const std::optional<std::string> kept = TRY(ReadTextFile(backup));
    if (!kept) TRY(WriteBackup(change.path, backup, *change.before));
  }
  return {};
}

Result<void> DropBackups(const HandlerPlan& plan) {
  for (const FileChange& change : plan.changes) {
    const std::filesystem::path backup = BackupOf(change.path);
    const std::optional<std::string> kept = TRY(ReadTextFile(backup));
    if (!kept) continue;
    if (kept == change.after) {
      ::unlink(backup.c_str());
    } else {
      fmt::print("note: {} was changed by others meanwhile; how it was before is in {}\n",
                 change.path.string(), backup.string());
    }
  }
  return {};
}

// One after the other; the first failure ends it.
Result<int> InstallAll(const AgentOptions& options) {
  if (::access(options.containerd.runtime.c_str(), X_OK) != 0) {
    return FailErrno("cannot execute " + options.containerd.runtime.string())
        .WithHint("--runtime PATH says where holdfast-runtime is");
  }
  for (const Engine& engine : Engines(options)) {
    const HandlerPlan plan = TRY(engine.install());
    PrintPlan(plan, options.dry_run);
    if (plan.changes.empty()) {
      fmt::print("{} has the handler '{}' already\n", engine.name, options.handler);
      continue;
    }
    if (options.dry_run) continue;
    TRY(KeepBackups(plan));
    TRY(Apply(plan.changes));
    fmt::print("{} has the handler '{}' after it is restarted; running containers go on meanwhile\n",
               engine.name, options.handler);
  }
  return 0;
}

Result<int> UninstallAll(const AgentOptions& options) {
  for (const Engine& engine : Engines(options)) {
    const HandlerPlan plan = TRY(engine.uninstall());
    PrintPlan(plan, options.dry_run);
    if (plan.changes.empty()) {
      fmt::print("{} has no handler of ours\n", engine.name);
      continue;
    }
    if (options.dry_run) continue;
    TRY(Apply(plan.changes));
    TRY(DropBackups(plan));
    fmt::print(
        "{} is without the handler after it is restarted; containers that it started need holdfast-runtime "
        "until "
        "they are deleted\n",
        engine.name);
  }
  return 0;
}

Result<int> Status(const AgentOptions& options) {
  int code = 0;
  for (const Engine& engine : Engines(options)) {
    const std::string where = TRY(engine.find());
    fmt::print("{}: {}\n", engine.name, where.empty() ? "no handler of ours" : "the handler is in " + where);
    if (where.empty()) code = kNotInstalled;
  }
  return code;
}

void AddOptions(CLI::App& command, AgentOptions& options, bool changes) {
  command.add_option("--engine", options.engines, "Only this one (those that are there)")
      ->type_name("containerd|crio")
      ->check(CLI::IsMember({"containerd", "crio"}));
  command.add_option("--containerd-config", options.containerd.config, "containerd's configuration")
      ->type_name("FILE")
      ->capture_default_str();
  command.add_option("--containerd", options.containerd_program, "containerd itself (that of PATH)")
      ->type_name("PROGRAM");
  command.add_option("--crio-directory", options.crio.directory, "Where CRI-O reads further files from")
      ->type_name("DIR")
      ->capture_default_str();
  if (!changes) return;
  command.add_option("--runtime", options.runtime, "holdfast-runtime (the one beside this program)")
      ->type_name("PATH");
  command.add_option("--handler", options.handler, "The handler's name, for a RuntimeClass")
      ->type_name("NAME")
      ->capture_default_str()
      ->check([](const std::string& name) {
        const bool good =
            !name.empty() && name.size() <= 63 &&
            name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
        return good ? std::string() : "a handler's name has lower-case letters, digits and '-'";
      });
  command.add_flag("--dry-run", options.dry_run, "Only say what would be changed");
}

Result<int> ParseAndRun(int argc, char** argv) {
  AgentOptions options;
  CLI::App app("Holdfast on a node of a cluster", "holdfast-agent");
  app.set_version_flag("--version", std::string("holdfast-agent ") + HOLDFAST_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit status: 0 done, or nothing to do; 1 failed; 2 'status' found no handler; 64 wrong command line");
  CLI::App* install =
      app.add_subcommand("install", "Give containerd or CRI-O a runtime handler, for a RuntimeClass");
  CLI::App* uninstall = app.add_subcommand("uninstall", "Take it out again; every file is as it was before");
  CLI::App* status = app.add_subcommand("status", "Say where it is; exit status 2 when an engine has none");
  AddOptions(*install, options, /*changes=*/true);
  AddOptions(*uninstall, options, /*changes=*/true);
  AddOptions(*status, options, /*changes=*/false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  TRY(Complete(options));
  if (install->parsed()) return InstallAll(options);
  return uninstall->parsed() ? UninstallAll(options) : Status(options);
}

}  // namespace

int RunAgent(int argc, char** argv) {
  Result<int> code = 0;
  try {
    code = ParseAndRun(argc, argv);
  } catch (const std::exception& error) {
    code = Fail(ErrorKind::kInternal, std::string("an unexpected fault: ") + error.what());
  }
  if (code) return *code;
  fmt::print(stderr, "holdfast-agent: {}\n", code.error().message);
  if (!code.error().hint.empty()) fmt::print(stderr, "hint: {}\n", code.error().hint);
  return code.error().kind == ErrorKind::kUsage ? kUsage : kFailed;
}

}  // namespace holdfast
