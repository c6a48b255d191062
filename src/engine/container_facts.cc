#include "engine/container_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/paths.h"
#include "linux/proc.h"
#include "store/hash.h"

namespace holdfast {
namespace {

using Json = nlohmann::json;

constexpr const char* kId = "container-id";
constexpr const char* kRuntime = "container-runtime";
constexpr const char* kRoot = "container-root";
constexpr const char* kBundle = "container-bundle";
constexpr const char* kRootfs = "container-rootfs";
constexpr const char* kUpper = "container-upper-directory";
constexpr const char* kConfig = "container-config-xxh3";
constexpr const char* kMachineNetwork = "container-machine-network";
constexpr const char* kTerminal = "container-terminal";

std::string Hash(const std::string& text) {
  std::string hash;
  for (const uint8_t byte : HashBytes128(std::as_bytes(std::span(text)))) hash += fmt::format("{:02x}", byte);
  return hash;
}

std::string FactOf(const Manifest& manifest, const char* key) {
  const auto fact = manifest.engine_facts.find(key);
  return fact == manifest.engine_facts.end() ? "" : fact->second;
}

// config.json: a bind mount has that type or one of these options (OCI runtime specification, "Mounts").
std::vector<std::string> BindMounts(const std::string& config) {
  std::vector<std::string> destinations;
  const Json json = Json::parse(config, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("mounts") || !json["mounts"].is_array()) return destinations;
  for (const Json& mount : json["mounts"]) {
    if (!mount.is_object() || !mount.contains("destination") || !mount["destination"].is_string()) continue;
    bool bind = mount.contains("type") && mount["type"] == "bind";
    if (mount.contains("options") && mount["options"].is_array()) {
      for (const Json& option : mount["options"]) bind |= option == "bind" || option == "rbind";
    }
    if (bind) destinations.push_back(mount["destination"].get<std::string>());
  }
  std::sort(destinations.begin(), destinations.end());
  return destinations;
}

}  // namespace

Result<ContainerFacts> FindContainerFacts(const Container& container) {
  ContainerFacts facts;
  facts.container = container;
  facts.mounts = TRY(MountsOfContainer(container.init_pid));
  if (const Result<std::string> config = ReadFile(container.bundle + "/config.json")) {
    facts.config_hash = Hash(*config);
    facts.mounted_from_outside = BindMounts(*config);
  }
  facts.machine_network =
      TRY(ReadNamespace(container.init_pid, "net")) == TRY(ReadNamespace(getpid(), "net"));
  for (const OpenFile& file : TRY(ReadOpenFiles(container.init_pid))) {
    facts.terminal |= file.fd <= STDERR_FILENO && file.target.starts_with("/dev/pts/");
  }
  return facts;
}

void RecordContainer(const ContainerFacts& facts, std::map<std::string, std::string>& engine_facts) {
  engine_facts[kId] = facts.container.id;
  engine_facts[kRuntime] = facts.container.runtime;
  engine_facts[kRoot] = facts.container.root;
  engine_facts[kBundle] = facts.container.bundle;
  engine_facts[kRootfs] = facts.container.rootfs;
  if (!facts.mounts.upper_directory.empty()) engine_facts[kUpper] = facts.mounts.upper_directory;
  if (!facts.config_hash.empty()) engine_facts[kConfig] = facts.config_hash;
  if (facts.machine_network) engine_facts[kMachineNetwork] = "1";
  if (facts.terminal) engine_facts[kTerminal] = "1";
}

std::vector<std::string> ContainerWarnings(const ContainerFacts& facts,
                                           const std::vector<std::string>& trees) {
  std::vector<std::string> warnings = {
      "of the container's files this snapshot has those that it had open for writing" +
      std::string(trees.empty() ? "" : ", and the directories of --files") +
      "; it can be restarted over a root file system that has the others as they were (--files DIR "
      "takes a directory along)"};
  std::string mounted;
  for (const std::string& point : facts.mounted_from_outside)
    mounted += (mounted.empty() ? "" : ", ") + point;
  if (!mounted.empty()) {
    warnings.push_back("what is mounted into the container from outside is not in this snapshot: " + mounted);
  }
  return warnings;
}

Result<void> RefuseMountedTrees(const ContainerMounts& mounts, const std::vector<std::string>& trees) {
  for (const std::string& tree : trees) {
    for (const std::string& point : mounts.others) {
      if (!IsWithin(tree, point)) continue;
      return Fail(ErrorKind::kUsage,
                  fmt::format("--files: {} is in {}, which is mounted into the container", tree, point))
          .WithHint("a snapshot takes along only what is in the container's root file system");
    }
  }
  return {};
}

std::optional<Container> ContainerOf(const Manifest& manifest) {
  if (!manifest.engine_facts.contains(kId)) return std::nullopt;
  Container container;
  container.id = FactOf(manifest, kId);
  container.runtime = FactOf(manifest, kRuntime);
  container.root = FactOf(manifest, kRoot);
  container.bundle = FactOf(manifest, kBundle);
  container.rootfs = FactOf(manifest, kRootfs);
  return container;
}

bool IsInMachineNetwork(const Manifest& manifest) {
  return !manifest.engine_facts.contains(kId) || manifest.engine_facts.contains(kMachineNetwork);
}

Result<void> RefuseOtherKind(const Manifest& manifest, const RestoreOptions& options) {
  const std::optional<Container> was = ContainerOf(manifest);
  const std::string name = manifest.id.ToString();
  if (was && !options.container) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is a snapshot of container {}", name, was->id))
        .WithHint(fmt::format("restart it as one: holdfast resume {} --container ID --bundle DIR", name));
  }
  if (!was && options.container) {
    return Fail(ErrorKind::kUsage, fmt::format("{} is no snapshot of a container", name))
        .WithHint("holdfast resume " + name);
  }
  if (was && manifest.engine_facts.contains(kTerminal)) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("container {} had a terminal, which cannot be given back so far", was->id))
        .WithHint("run it with \"terminal\": false in its config.json");
  }
  return {};
}

}  // namespace holdfast
