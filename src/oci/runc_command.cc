#include "oci/runc_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "criu/criu_command.h"
#include "criu/kerndat_cache.h"
#include "criu_plugin/protocol.h"
#include "linux/proc.h"

namespace holdfast {
namespace {

using Json = nlohmann::json;

constexpr const char* kRuncLog = "runc.log";

std::string Quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string Script(const RuncCommand& command) {
  std::string text = "#!/bin/sh\n";
  const auto set = [&text](const char* name, const std::string& value) {
    text += fmt::format("{}={}; export {}\n", name, Quoted(value), name);
  };
  set("LD_PRELOAD", command.criu.plugin_directory + "/" + kPluginLibrary);
  set("CRIU_LIBS_DIR", command.criu.plugin_directory);
  set("CRIU_CONFIG_FILE", "");
  set(kPluginSocketVariable, command.socket_path);
  set(kCgroupFreezerVariable, "1");
  set(kLoopbackVariable, "1");
  if (command.leave_stopped) set(kLeaveStoppedVariable, "1");
  if (const std::string directory = KerndatDirectory(); !directory.empty()) set(kKerndatVariable, directory);
  text += "exec " + Quoted(command.criu.path);
  for (const std::string& option : command.criu_options) text += " " + Quoted(option);
  return text + " \"$@\"\n";
}

// The directory that the script is in.
Result<std::string> WriteScript(const RuncCommand& command) {
  std::string directory = command.image_directory + "/bin";
  if (directory.find(':') != std::string::npos) {
    return Fail(ErrorKind::kUsage, fmt::format("the path {} has a colon in it", directory))
        .WithHint("containers need a store without one");
  }
  if (mkdir(directory.c_str(), S_IRWXU) != 0) return FailErrno("cannot make " + directory);
  const std::string path = directory + "/criu";
  const std::string text = Script(command);
  const Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRWXU));
  if (!fd.valid()) return FailErrno("cannot make " + path);
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return FailErrno("cannot write " + path);
  }
  return directory;
}

// The last error in runc's log, which has one JSON object on a line.
std::string LastWordsOfRunc(const std::string& log) {
  std::string words;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const Json entry = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || entry.value("level", "") != "error") continue;
    words = entry.value("msg", "");
  }
  return words;
}

}  // namespace

Result<Subprocess> StartRunc(const RuncCommand& command) {
  const std::string directory = TRY(WriteScript(command));
  SpawnOptions options;
  options.arguments = {
      command.runtime, "--root", command.root, "--log", command.image_directory + "/" + kRuncLog,
      "--log-format",  "json"};
  const std::vector<std::string>& global = command.global_options;
  options.arguments.insert(options.arguments.end(), global.begin(), global.end());
  options.arguments.insert(options.arguments.end(),
                           {command.arguments.front(), "--image-path", command.image_directory, "--work-path",
                            command.image_directory});
  options.arguments.insert(options.arguments.end(), command.arguments.begin() + 1, command.arguments.end());
  options.arguments.push_back(command.container_id);
  const char* path = std::getenv("PATH");
  options.environment = {
      {"PATH", directory + ":" + (path == nullptr ? "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin" : path)}};
  if (command.streams) {
    for (int number = 0; number < 3; ++number) {
      options.descriptors.emplace_back(command.streams->at(static_cast<size_t>(number)), number);
    }
  }
  options.outlives_us = true;
  return Subprocess::Spawn(options);
}

Error RuncError(const RuncCommand& command, int wait_status) {
  const std::string& verb = command.arguments.front();
  const std::string log_name = verb == "checkpoint" ? "dump.log" : "restore.log";
  Error error = ExplainCriu("runc " + verb, command.image_directory + "/" + log_name, wait_status);
  if (error.message.find(": ") != std::string::npos) return error;
  const std::string words = LastWordsOfRunc(ReadFile(command.image_directory + "/" + kRuncLog).value_or(""));
  if (!words.empty()) error.message += ": " + words;
  return error;
}

void DeleteContainer(const RuncCommand& command) {
  SpawnOptions options;
  options.arguments = {command.runtime, "--root", command.root, "delete", "--force", command.container_id};
  Result<Subprocess> child = Subprocess::Spawn(options);
  if (child) static_cast<void>(child->Wait());
}

}  // namespace holdfast
