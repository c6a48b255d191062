// Who makes a tree again, but for its memory: CRIU, or for a container runc, which runs CRIU.
#pragma once

#include <string>
#include <variant>

#include "base/result.h"
#include "criu/criu_command.h"
#include "engine/engine.h"
#include "linux/subprocess.h"
#include "oci/runc_command.h"

namespace holdfast {

class RestoreCommand {
 public:
  struct Inputs {
    const Manifest& manifest;
    const RestoreOptions& options;
    const CriuInstallation& criu;
    std::string socket_path;
    std::string directory;  // of the images; logs go there, too
    int null = -1;          // takes the place of outside ends that nobody has given
    pid_t enter_namespaces_of = 0;
    bool enter_network = false;
  };
  // What `inputs` refers to outlives it.
  static Result<RestoreCommand> Make(const Inputs& inputs);
  // The tree's first process becomes our child, when the command has ended at the latest.
  Result<Subprocess> Start() const;
  // The error of one that ended with `wait_status`.
  Error Explain(int wait_status) const;
  // Hung up on, CRIU ends the tree, and runc then removes what it has made: whether it has been waited for.
  bool EndsByItself(const Subprocess& running) const;
  // After a failure, when the tree was there already: what is known of it elsewhere.
  void CleanUp() const;

 private:
  explicit RestoreCommand(std::variant<CriuCommand, RuncCommand> command) : command_(std::move(command)) {}
  std::variant<CriuCommand, RuncCommand> command_;
};

}  // namespace holdfast
