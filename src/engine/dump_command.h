// Who freezes a tree and describes its kernel objects: CRIU, or for a container runc, which runs CRIU.
#pragma once

#include <string>
#include <variant>

#include "base/result.h"
#include "criu/criu_command.h"
#include "engine/engine.h"
#include "engine/job_tree.h"
#include "linux/subprocess.h"
#include "oci/runc_command.h"

namespace holdfast {

class DumpCommand {
 public:
  // `criu` outlives it. Images, statistics and logs go to `directory`.
  DumpCommand(const CheckpointOptions& options, const JobTree& tree, const CriuInstallation& criu,
              const std::string& socket_path, const std::string& directory);
  Result<Subprocess> Start() const;
  // The error of one that ended with `wait_status`.
  Error Explain(int wait_status) const;

 private:
  std::variant<CriuCommand, RuncCommand> command_;
};

}  // namespace holdfast
