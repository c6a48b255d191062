#include "engine/restore_command.h"

#include <fmt/format.h>

#include <utility>

#include "base/limits.h"
#include "linux/pidfd.h"

namespace holdfast {
namespace {

// Ours for the job's outside ends.
Result<void> InheritDescriptors(const RestoreCommand::Inputs& inputs, CriuCommand& command) {
  constexpr int kFirstDescriptor = 30;
  int number = kFirstDescriptor;
  const std::map<std::string, int>& inherit_fds = inputs.options.inherit_fds;
  for (const ExternalResource& resource : ExternalResources(inputs.manifest)) {
    const auto given = inherit_fds.find(resource.name);
    if (given == inherit_fds.end() && resource.kind == ExternalResource::Kind::kTerminal) {
      return Fail(ErrorKind::kUsage, "the job had a terminal, and none was given for it")
          .WithHint("resume it with --tty");
    }
    command.descriptors.emplace_back(given == inherit_fds.end() ? inputs.null : given->second, number);
    command.arguments.emplace_back("--inherit-fd");
    command.arguments.push_back(fmt::format("fd[{}]:{}", number, resource.name));
    ++number;
  }
  return {};
}

// Should we die, CRIU must not: it ends at our plugin's next question, and the half restored tree with it.
Result<CriuCommand> OfTree(const RestoreCommand::Inputs& inputs) {
  CriuCommand command{.criu = inputs.criu,
                      .socket_path = inputs.socket_path,
                      .image_directory = inputs.directory,
                      .arguments = {"restore", "--restore-detached", "--ext-unix-sk"},
                      .enter_namespaces_of = inputs.enter_namespaces_of,
                      .enter_network = inputs.enter_network,
                      .private_files = inputs.options.private_files,
                      .outlives_us = true};
  // Else the root becomes our child, not CRIU's.
  if (inputs.enter_namespaces_of == 0) command.arguments.emplace_back("--restore-sibling");
  for (const char* fact : {"shell-job", "file-locks", "tcp-established"}) {
    if (inputs.manifest.engine_facts.contains(fact)) command.arguments.push_back(std::string("--") + fact);
  }
  TRY(InheritDescriptors(inputs, command));
  return command;
}

// runc takes the container's outside ends from its own descriptors, and leaves its first process to whoever
// collects orphans above it, which is us.
RuncCommand OfContainer(const RestoreCommand::Inputs& inputs) {
  const NewContainer& container = *inputs.options.container;
  RuncCommand command{
      .criu = inputs.criu,
      .runtime = container.runtime,
      .root = container.root,
      .container_id = container.id,
      .socket_path = inputs.socket_path,
      .image_directory = inputs.directory,
      .arguments = {"restore", "--detach", "--ext-unix-sk", "--bundle", container.bundle.path},
      .streams = container.streams};
  if (!container.pid_file.empty()) {
    command.arguments.insert(command.arguments.end(), {"--pid-file", container.pid_file});
  }
  if (container.systemd_cgroup) command.global_options.emplace_back("--systemd-cgroup");
  if (container.leave_stopped) command.criu_options.emplace_back("--leave-stopped");
  const auto& facts = inputs.manifest.engine_facts;
  if (facts.contains("file-locks")) command.arguments.emplace_back("--file-locks");
  if (container.close_connections) {
    command.criu_options.emplace_back("--tcp-close");
  } else if (facts.contains("tcp-established")) {
    command.arguments.emplace_back("--tcp-established");
  }
  return command;
}

}  // namespace

Result<RestoreCommand> RestoreCommand::Make(const Inputs& inputs) {
  if (inputs.options.container) return RestoreCommand(OfContainer(inputs));
  return RestoreCommand(TRY(OfTree(inputs)));
}

Result<Subprocess> RestoreCommand::Start() const {
  if (const auto* runc = std::get_if<RuncCommand>(&command_)) return StartRunc(*runc);
  return StartCriu(std::get<CriuCommand>(command_));
}

Error RestoreCommand::Explain(int wait_status) const {
  if (const auto* runc = std::get_if<RuncCommand>(&command_)) return RuncError(*runc, wait_status);
  return CriuError(std::get<CriuCommand>(command_), wait_status);
}

bool RestoreCommand::EndsByItself(const Subprocess& running) const {
  if (!std::holds_alternative<RuncCommand>(command_)) return false;
  return WaitForEnd(running.pidfd().get(), limits::kReleaseSecondsMax * 1000).has_value();
}

void RestoreCommand::CleanUp() const {
  if (const auto* runc = std::get_if<RuncCommand>(&command_)) DeleteContainer(*runc);
}

}  // namespace holdfast
