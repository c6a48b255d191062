#include "pod/restored_mark.h"

#include <fmt/format.h>
#include <unistd.h>

#include "linux/atomic_file.h"
#include "linux/proc.h"
#include "oci/runtime_helper.h"

namespace holdfast {
namespace {

std::string PathOf(const PodContainer& container) {
  return fmt::format("{}/{}/{}", container.root, container.id, kRestoredMark);
}

}  // namespace

Result<void> MarkRestored(const PodContainer& container, const std::string& snapshot) {
  return WriteFileAtomically(PathOf(container), snapshot);
}

std::string ReadRestoredMark(const PodContainer& container) {
  return ReadFile(PathOf(container)).value_or("");
}

Result<void> RemoveRestoredMark(const PodContainer& container) {
  if (::unlink(PathOf(container).c_str()) != 0) return FailErrno("cannot remove " + PathOf(container));
  return {};
}

}  // namespace holdfast
