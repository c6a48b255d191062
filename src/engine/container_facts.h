// What a snapshot says of the container that it is of, beside what every snapshot says.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace holdfast {

struct ContainerFacts {
  Container container;
  ContainerMounts mounts;
  // Where its bundle says that something of the machine is mounted, sorted.
  std::vector<std::string> mounted_from_outside;
  std::string config_hash;       // of the bundle's config.json; empty: it is gone
  bool machine_network = false;  // it is in our network namespace
  bool terminal = false;         // its first process has a terminal as descriptor 0, 1 or 2
};

Result<ContainerFacts> FindContainerFacts(const Container& container);

void RecordContainer(const ContainerFacts& facts, std::map<std::string, std::string>& engine_facts);

// What is not in a snapshot of it, for the snapshot's warnings. `trees`: CheckpointOptions::file_trees.
std::vector<std::string> ContainerWarnings(const ContainerFacts& facts,
                                           const std::vector<std::string>& trees);

// What is mounted into a container is not its own, and never taken along.
Result<void> RefuseMountedTrees(const ContainerMounts& mounts, const std::vector<std::string>& trees);

// A container that is in the machine's network, or a job, which is, too.
bool IsInMachineNetwork(const Manifest& manifest);

}  // namespace holdfast
