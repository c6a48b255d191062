#include "engine/dump_command.h"

namespace holdfast {
namespace {

constexpr const char* kGhostLimit = "1048576G";

CriuCommand OfTree(const CheckpointOptions& options, const JobTree& tree, const CriuInstallation& criu,
                   const std::string& socket_path, const std::string& directory) {
  CriuCommand command{.criu = criu,
                      .socket_path = socket_path,
                      .image_directory = directory,
                      .arguments = {"dump", "-t", std::to_string(tree.root_in_namespace), "-R",
                                    "--ext-unix-sk", "--ghost-limit", kGhostLimit},
                      .enter_namespaces_of = tree.own_pid_namespace ? tree.root : 0,
                      .enter_network = options.private_network,
                      .outlives_us = true};
  if (options.file_locks) command.arguments.emplace_back("--file-locks");
  if (options.tcp_established) command.arguments.emplace_back("--tcp-established");
  if (!tree.session_leader) command.arguments.emplace_back("--shell-job");
  for (const ExternalResource& terminal : tree.terminals) {
    command.arguments.emplace_back("--external");
    command.arguments.push_back(terminal.name);
  }
  return command;
}

RuncCommand OfContainer(const CheckpointOptions& options, const CriuInstallation& criu,
                        const std::string& socket_path, const std::string& directory) {
  RuncCommand command{.criu = criu,
                      .runtime = options.container->runtime,
                      .root = options.container->root,
                      .container_id = options.container->id,
                      .socket_path = socket_path,
                      .image_directory = directory,
                      .arguments = {"checkpoint", "--leave-running", "--ext-unix-sk"},
                      .criu_options = {"--ghost-limit", kGhostLimit}};
  command.leave_stopped = options.stop_job;
  if (options.file_locks) command.arguments.emplace_back("--file-locks");
  if (options.tcp_established) command.arguments.emplace_back("--tcp-established");
  return command;
}

}  // namespace

DumpCommand::DumpCommand(const CheckpointOptions& options, const JobTree& tree, const CriuInstallation& criu,
                         const std::string& socket_path, const std::string& directory)
    : command_(options.container ? std::variant<CriuCommand, RuncCommand>(
                                       OfContainer(options, criu, socket_path, directory))
                                 : OfTree(options, tree, criu, socket_path, directory)) {}

Result<Subprocess> DumpCommand::Start() const {
  if (const auto* runc = std::get_if<RuncCommand>(&command_)) return StartRunc(*runc);
  return StartCriu(std::get<CriuCommand>(command_));
}

Error DumpCommand::Explain(int wait_status) const {
  if (const auto* runc = std::get_if<RuncCommand>(&command_)) return RuncError(*runc, wait_status);
  return CriuError(std::get<CriuCommand>(command_), wait_status);
}

}  // namespace holdfast
