// What holdfast-runtime has done for a container of a pod that asked for checkpoints. Not for people.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <CLI/CLI.hpp>
#include <cstdlib>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "job/signal_fence.h"
#include "oci/container.h"
#include "oci/runtime_helper.h"
#include "pod/pod_container.h"

namespace holdfast {

namespace {

struct Flags {
  std::string verb;
  std::string identity;
  std::string pod_uid;
  std::string name;
  std::string id;
  std::string runtime;
  std::string root;
  std::string bundle;
  std::string pid_file;
  std::vector<std::string> files;
  bool systemd_cgroup = false;
  bool force = false;
  int64_t wait_ms = 0;
  int64_t deadline_ms = 0;
};

Result<PodContainer> ContainerOf(const Flags& flags) {
  // By the engine, which has its own way of finding it.
  if (setenv("HOLDFAST_RUNC", flags.runtime.c_str(), 1) != 0) return FailErrno("setenv");
  TRY(ValidateContainerId(flags.id));
  return PodContainer{.identity = TRY(PodIdentity::Parse(flags.identity)),
                      .pod_uid = flags.pod_uid,
                      .name = flags.name,
                      .id = flags.id,
                      .runtime = flags.runtime,
                      .root = flags.root};
}

Result<std::string> Create(Store& store, const Flags& flags, const PodContainer& container) {
  const SignalFence fence;
  return CreatePodContainer(store, {.container = container,
                                    .bundle = flags.bundle,
                                    .pid_file = flags.pid_file,
                                    .systemd_cgroup = flags.systemd_cgroup,
                                    .streams = kStreamDescriptors,
                                    .creator = TRY(IdentifyProcess(::getppid())),
                                    .patience = std::chrono::milliseconds(flags.wait_ms),
                                    .deadline = std::chrono::milliseconds(flags.deadline_ms)});
}

Result<std::string> Stop(Store& store, const Flags& flags, const PodContainer& container) {
  const SignalFence fence;  // told to end, it undoes what it has begun
  return StopPodContainer(store, {.container = container,
                                  .files = flags.files,
                                  .deadline = std::chrono::milliseconds(flags.deadline_ms)});
}

Result<std::string> Do(const GlobalOptions& global, const Flags& flags) {
  const PodContainer container = TRY(ContainerOf(flags));
  if (flags.verb == "start") return StartPodContainer(container);
  Store store = TRY(global.OpenOrMakeStore());
  if (flags.verb == "create") return Create(store, flags, container);
  if (flags.verb == "kill") return Stop(store, flags, container);
  TRY(DeletePodContainer(store, container, flags.force));
  return Fail(ErrorKind::kNotFound, "its identity is free");  // runc still has to delete it
}

int Answer(const Result<std::string>& done) {
  std::string line = done ? std::string(answer::kDone) + " " + *done
                          : std::string(answer::kPassOn) + " " + done.error().message;
  if (!done && !done.error().hint.empty()) line += " (" + done.error().hint + ")";
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += "\n";
  return ::write(kAnswerDescriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) ? 0 : 1;
}

CommandText Text() {
  return {.name = "oci",
          .summary = "what holdfast-runtime has done for a container",
          .usage = "",
          .details = {"Called by holdfast-runtime, with descriptors that it has prepared."},
          .examples = {},
          .exit_codes = {}};
}

}  // namespace

void AddOciCommand(CommandLine& line) {
  auto flags = std::make_shared<Flags>();
  CLI::App& command = line.AddHidden(
      Text(), [flags](const GlobalOptions& global) -> Result<int> { return Answer(Do(global, *flags)); });
  command.add_option("verb", flags->verb, "Of the runtime")
      ->required()
      ->check(CLI::IsMember({"create", "start", "kill", "delete"}));
  command.add_option("--identity", flags->identity, "NAMESPACE/OWNER-UID/TEMPLATE-HASH/SLOT/CONTAINER")
      ->required();
  command.add_option("--pod-uid", flags->pod_uid, "Of its pod")->required();
  command.add_option("--name", flags->name, "In its pod")->required();
  command.add_option("--id", flags->id, "The runtime's")->required();
  command.add_option("--runtime", flags->runtime, "runc")->required();
  command.add_option("--root", flags->root, "Where runc keeps its state")->required();
  command.add_option("--bundle", flags->bundle, "Of create");
  command.add_option("--pid-file", flags->pid_file, "Of create");
  command.add_option("--files", flags->files, "Directories in it that its snapshot is to have")
      ->allow_extra_args(false);
  command.add_flag("--systemd-cgroup", flags->systemd_cgroup, "Of runc");
  command.add_flag("--force", flags->force, "Of delete");
  command.add_option("--wait-ms", flags->wait_ms, "For its identity to become free");
  command.add_option("--deadline-ms", flags->deadline_ms, "For all of it");
}

}  // namespace holdfast
