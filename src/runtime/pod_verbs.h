// Does what was decided about a container of a pod: restarts it from its snapshot, takes its last one, lets
// go of its identity. The work is holdfast's own (`holdfast oci`); whatever fails there, the real runtime
// gets the verb.
#pragma once

#include <span>
#include <string>

#include "runtime/container_json.h"
#include "runtime/decisions.h"
#include "runtime/helper.h"
#include "runtime/oci_command.h"
#include "runtime/settings.h"

namespace holdfast {

// Whether there may be something to do about this verb but to look at it: cheap.
bool IsPodVerb(const OciCommand& command, const RuntimeSettings& settings);

// "NAMESPACE/OWNER-UID/TEMPLATE-HASH/SLOT/CONTAINER". kUsage names what is missing: a pod without it is
// nobody whom another one could be continued as.
Result<std::string> IdentityPath(const ContainerIdentity& identity);

// Requires: decision.verdict == Verdict::kTakes, IsPodVerb(). `words`: the command line, without the
// program's name.
HelperAnswer DoPodVerb(const OciCommand& command, std::span<const char* const> words,
                       const Decision& decision, const Annotations& annotations, const std::string& runtime,
                       const RuntimeSettings& settings);

}  // namespace holdfast
