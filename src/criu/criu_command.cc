#include "criu/criu_command.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "criu/kerndat_cache.h"
#include "criu_plugin/protocol.h"
#include "linux/proc.h"

namespace holdfast {

namespace {

std::string LogName(const CriuCommand& command) {
  return command.arguments.front() + ".log";
}

}  // namespace

Result<Subprocess> StartCriu(const CriuCommand& command) {
  SpawnOptions options;
  options.arguments = {command.criu.path};
  options.arguments.insert(options.arguments.end(), command.arguments.begin(), command.arguments.end());
  for (const std::string& argument :
       {std::string("-D"), command.image_directory, std::string("-o"), LogName(command), std::string("-v2"),
        std::string("-L"), command.criu.plugin_directory, std::string("--manage-cgroups=ignore")}) {
    options.arguments.push_back(argument);
  }
  options.environment = {{"LD_PRELOAD", command.criu.plugin_directory + "/" + kPluginLibrary},
                         {kPluginSocketVariable, command.socket_path},
                         {"CRIU_CONFIG_FILE", ""}};
  if (const std::string directory = KerndatDirectory(); !directory.empty()) {
    options.environment.emplace_back(kKerndatVariable, directory);
  }
  if (!command.private_files.empty())
    options.environment.emplace_back(kPrivateFilesVariable, command.private_files);
  options.descriptors = command.descriptors;
  options.enter_namespaces_of = command.enter_namespaces_of;
  options.enter_network = command.enter_network;
  options.outlives_us = command.outlives_us;
  return Subprocess::Spawn(options);
}

namespace {

struct KnownFailure {
  const char* words = nullptr;
  const char* hint = nullptr;
  ErrorKind kind = ErrorKind::kCriu;  // kBusy: the next try may well succeed
};
constexpr std::array<KnownFailure, 15> kKnownFailures = {{
    {"No space left", "the file system of the store is full", ErrorKind::kNoSpace},
    {"Timeout reached", "the machine was too busy to stop every thread of the job in time", ErrorKind::kBusy},
    {"Zombie thread", "a thread ended while the job was being stopped", ErrorKind::kBusy},
    {"Zombies with threads", "the main thread of a process had ended and others of its had not yet",
     ErrorKind::kBusy},
    {"Non-empty write queue on an in-flight socket",
     "somebody writes into a connection that the job has not accepted yet", ErrorKind::kBusy},
    {"Can't fork for",
     "a process id of the job is taken; `--pid-mode new-ns` gives the job a pid namespace of its own"},
    {"do not match expected", "a process id of the job is taken; use --pid-mode new-ns"},
    {"has bad size", "a file that the job had open has changed; put its content back and try again"},
    {"Can't bind inet socket",
     "an address or port of the job is taken, or not there; a clone can have them in a network of its own: "
     "--network own"},
    {"Can't bind id",
     "a Unix socket's name is taken; a clone can have an abstract one in a network of its own: --network "
     "own"},
    {"Can't open file", "a file that the job had open is missing"},
    {"file locks are hold", "another process holds the lock; checkpoint both as one job"},
    {"external socket is used", "a Unix socket leads out of the job; checkpoint both ends together"},
    {"doesn't live in IPC ns",
     "the job uses SysV shared memory of the machine; start it as `holdfast run -- unshare --ipc CMD...`"},
    {"CPU", "the snapshot was taken on another type of CPU"},
}};

std::string ErrorLines(const std::string& log) {
  std::string errors;
  size_t count = 0;
  constexpr size_t kLinesMax = 4;
  for (size_t at = 0; at < log.size() && count < kLinesMax;) {
    size_t end = log.find('\n', at);
    if (end == std::string::npos) end = log.size();
    const std::string line = log.substr(at, end - at);
    const size_t mark = line.find("Error (");
    // Said at every start without CAP_SYS_RESOURCE, and of no consequence.
    const bool harmless = line.find("Can't setup RLIMIT_NOFILE for self") != std::string::npos;
    if (mark != std::string::npos && !harmless) {
      const size_t text = line.find("): ", mark);
      errors += (errors.empty() ? "" : "; ") + line.substr(text == std::string::npos ? mark : text + 3);
      ++count;
    }
    at = end + 1;
  }
  while (errors.ends_with('.')) errors.pop_back();
  return errors;
}

}  // namespace

Error CriuError(const CriuCommand& command, int wait_status) {
  return ExplainCriu("criu " + command.arguments.front(), command.image_directory + "/" + LogName(command),
                     wait_status);
}

Error ExplainCriu(const std::string& what, const std::string& log_path, int wait_status) {
  const std::string log = ReadFile(log_path).value_or("");
  std::string errors = ErrorLines(log);
  Error error = Fail(ErrorKind::kCriu, fmt::format("{} {}{}{}", what, DescribeWaitStatus(wait_status),
                                                   errors.empty() ? "" : ": ", errors));
  for (const KnownFailure& known : kKnownFailures) {
    if (errors.find(known.words) == std::string::npos) continue;
    error.kind = known.kind;
    return std::move(error).WithHint(known.hint);
  }
  return error;
}

}  // namespace holdfast
