// Runs stock CRIU with our plugin and interposer loaded, and makes sense of its log when it fails.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "criu/find_criu.h"
#include "linux/subprocess.h"

namespace holdfast {

struct CriuCommand {
  const CriuInstallation& criu;
  std::string socket_path;                            // of the PluginServer
  std::string image_directory;                        // the log goes there too
  std::vector<std::string> arguments;                 // the verb first: "dump", "-t", "123", ...
  std::vector<std::pair<int, int>> descriptors = {};  // as SpawnOptions
  pid_t enter_namespaces_of = 0;
  bool enter_network = false;
  std::string private_files = {};  // criu_plugin/protocol.h, kPrivateFilesVariable; empty: none
  // A dump that is killed leaves its parasite in the job. Told by its plugin that we are gone, it cleans up.
  bool outlives_us = false;
};

Result<Subprocess> StartCriu(const CriuCommand& command);

// The error of a CRIU that ended with `wait_status`: its last words, and a hint where we know the cause.
Error CriuError(const CriuCommand& command, int wait_status);

// The same of any program that ran CRIU, from CRIU's log. `what`: "criu dump".
Error ExplainCriu(const std::string& what, const std::string& log_path, int wait_status);

}  // namespace holdfast
