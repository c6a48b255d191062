// A runtime handler of ours in containerd's configuration (versions 2 and 3, containerd 1.6 to 2.x), put in
// and taken out so that the file is afterwards what it was before, byte for byte.
//
// Where the configuration imports files from a directory and containerd merges what they say (2.0 and later),
// the handler is a file of its own there. containerd 1.x puts an imported file's CRI section in the place of
// the main file's (containerd#5837), so there it is a marked block at the end of the configuration itself.
// Which of both it is, is not guessed: `containerd config dump` is asked what it makes of either, and nothing
// but the handler may have changed.
#pragma once

#include <filesystem>
#include <string>

#include "agent/handler_plan.h"
#include "base/result.h"

namespace holdfast {

struct HandlerOptions {
  std::string name = "holdfast";     // of the handler, as a RuntimeClass names it
  std::filesystem::path runtime;     // holdfast-runtime, absolute
  std::filesystem::path containerd;  // the program that is asked
  std::filesystem::path config = "/etc/containerd/config.toml";
};

// Changes nothing. kExists: somebody else's handler has the name; kUnsupported: the configuration is of a
// kind that this does not touch; kNotFound: there is no containerd to ask; kCorrupt: containerd itself cannot
// read it.
Result<HandlerPlan> PlanContainerdInstall(const HandlerOptions& options);
Result<HandlerPlan> PlanContainerdUninstall(const HandlerOptions& options);

// Where our handler is, in words; empty when it is not there.
Result<std::string> FindContainerdHandler(const HandlerOptions& options);

}  // namespace holdfast
