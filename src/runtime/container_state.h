// Where a container's annotations are, from what a verb says of it.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/container_json.h"
#include "runtime/oci_command.h"

namespace holdfast {

// Of the container that `command` names: its bundle is --bundle (of a verb that has one), else where the
// runtime's own record of it says. Empty, at little cost, when nothing in those files speaks of Holdfast.
// kCorrupt: they do, and are no JSON, or they are too large to tell; any other kind: there are no such files.
// Requires: command.understood
Result<Annotations> ContainerAnnotations(const OciCommand& command);

}  // namespace holdfast
