// A file of ours among those that runc keeps of a container (kRestoredMark): it was made of the snapshot that
// the file names, and was not started yet. It goes with the container.
#pragma once

#include <string>

#include "base/result.h"
#include "pod/pod_container.h"

namespace holdfast {

Result<void> MarkRestored(const PodContainer& container, const std::string& snapshot);
// Empty: there is none.
std::string ReadRestoredMark(const PodContainer& container);
Result<void> RemoveRestoredMark(const PodContainer& container);

}  // namespace holdfast
