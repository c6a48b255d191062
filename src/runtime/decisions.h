// What is to be done with a verb on a container that may have asked for checkpoints. Only facts go in and
// only a decision comes out; who asks has read the files, and does what is decided.
#pragma once

#include <string>
#include <string_view>

#include "runtime/container_identity.h"
#include "runtime/container_json.h"

namespace holdfast {

enum class Verdict {
  kNotOptedIn,    // the others are about containers that are
  kTakes,         // create: may be restarted from a snapshot. kill: is to be checkpointed
  kBadOptIn,      // holdfast.dev/checkpoint has a value that is neither "true" nor "false"
  kSandbox,       // the pod's own container, or of a kind that is not known
  kNotNamed,      // holdfast.dev/containers names others
  kBadIdentity,   // what identifies it is missing or no name
  kAllProcesses,  // kill --all: cleans up after a container, asks nothing of it
  kOtherSignal,   // kill with another signal than the one that asks it to stop
};

std::string_view VerdictName(Verdict verdict);  // "takes"; the `verdict` of the log

struct Decision {
  Verdict verdict = Verdict::kNotOptedIn;
  std::string detail;  // about a verdict that needs it; may hold what somebody wrote into an annotation
  ContainerIdentity identity;          // with kTakes
  std::string did = "passed through";  // what came of it, for the log
};

// `create` of the container `id`.
Decision DecideCreate(std::string_view id, const Annotations& annotations);

// `kill` with `signal` (SignalNumber; runc's default is SIGTERM), to `all` of the container's processes or
// its first one. The signal that asks for the end is the image's own where the engine tells it, else SIGTERM.
Decision DecideKill(std::string_view id, const Annotations& annotations, int signal, bool all);

}  // namespace holdfast
