// Runs runc, which runs CRIU: with our plugin and interposer loaded into that one, and options for it that
// runc does not have.
//
// runc starts `criu swrk` from PATH and passes its environment on (libcontainer/container_linux.go, criuSwrk,
// of runc 1.1). A script of that name in a directory of ours comes first there. CRIU reads options on the
// command line before that verb as it does before others (criu/crtools.c), then what runc asks for.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "criu/find_criu.h"
#include "linux/subprocess.h"

namespace holdfast {

struct RuncCommand {
  const CriuInstallation& criu;
  std::string runtime;
  std::string root;
  std::string container_id;
  std::string socket_path;      // of the PluginServer
  std::string image_directory;  // CRIU's images, logs and statistics, runc's log and our script: all go there
  std::vector<std::string> arguments;            // "checkpoint" or "restore" first, then its options
  std::vector<std::string> criu_options = {};    // "--tcp-close"
  std::vector<std::string> global_options = {};  // of runc, before the verb
  bool leave_stopped = false;                    // of a checkpoint that succeeds: SIGSTOP before it is let go
  // Become its descriptors 0, 1 and 2, and the container's where it had pipes there; else /dev/null is.
  std::optional<std::array<int, 3>> streams = std::nullopt;
};

Result<Subprocess> StartRunc(const RuncCommand& command);

// The error of a runc that ended with `wait_status`: CRIU's last words, or else its own.
Error RuncError(const RuncCommand& command, int wait_status);

// Best effort: what a restore that failed has left under the ID.
void DeleteContainer(const RuncCommand& command);

}  // namespace holdfast
