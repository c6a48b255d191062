#include "runtime/container_state.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <vector>

#include "base/limits.h"
#include "runtime/annotation_names.h"
#include "runtime/container_identity.h"

namespace holdfast {

namespace {

bool SpeaksOfHoldfast(std::string_view text) {
  return text.find(annotation::kPrefix) != std::string_view::npos;
}

// runc 1.1's main.go, crun 1.8's libcrun/status.c. A user's own are under $XDG_RUNTIME_DIR.
std::vector<std::string> StateRoots(const OciCommand& command) {
  if (!command.root.empty()) return {std::string(command.root)};
  const char* own = ::geteuid() != 0 ? ::getenv("XDG_RUNTIME_DIR") : nullptr;
  const std::string above = own != nullptr ? own : "/run";
  return {above + "/runc", above + "/crun"};
}

// The config.json of a container that is there already; kNotFound when it does not speak of Holdfast.
Result<std::string> RecordedConfig(const OciCommand& command) {
  if (!IsContainerId(command.id)) return Fail(ErrorKind::kUsage, "the container's id is no name");
  for (const std::string& root : StateRoots(command)) {
    const std::string directory = root + "/" + std::string(command.id);
    Result<std::string> state = ReadSmallFile(directory + "/state.json", limits::kOciJsonBytesMax);
    // runc keeps the annotations in it, so that most containers are done with here. crun does not.
    if (state && !SpeaksOfHoldfast(*state))
      return Fail(ErrorKind::kNotFound, "it has no annotations of ours");
    if (!state) state = ReadSmallFile(directory + "/status", limits::kOciJsonBytesMax);
    if (state) return TRY(ReadBundle(*state)) + "/config.json";
  }
  return Fail(ErrorKind::kNotFound, "no runtime has a record of it");
}

std::string NamedConfig(const OciCommand& command) {
  std::string name = command.config.empty() ? "config.json" : std::string(command.config);
  if (name.starts_with('/') || command.bundle.empty()) return name;
  return std::string(command.bundle) + "/" + name;
}

}  // namespace

Result<Annotations> ContainerAnnotations(const OciCommand& command) {
  const std::string path =
      command.verb == Verb::kCreate ? NamedConfig(command) : TRY(RecordedConfig(command));
  const std::string config = TRY(ReadSmallFile(path, limits::kOciJsonBytesMax));
  if (!SpeaksOfHoldfast(config)) return Annotations();
  return ReadAnnotations(config);
}

}  // namespace holdfast
