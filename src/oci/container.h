// OCI containers as runc keeps them: found by their ID, and what their bundles say.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// A container that runs.
struct Container {
  std::string id;
  std::string runtime;  // runc's path
  std::string root;     // `runc --root`: where its state is
  std::string bundle;
  std::string rootfs;
  pid_t init_pid = 0;  // of its first process, in our pid namespace
};

// `root` empty: looked for where runc, Docker, containerd (each of its namespaces) and podman have their
// containers. Errors: kNotFound; kExists (in more than one place; they are named); kUnsupported (it is
// crun's, is paused, or there is no runc).
Result<Container> FindContainer(const std::string& id, const std::string& root);

// runc's default, for containers that nobody has placed.
inline constexpr const char* kDefaultRuncRoot = "/run/runc";

// $HOLDFAST_RUNC, runc in PATH, or in the usual directories.
Result<std::string> FindRunc();

// No path, and nothing that runc would refuse: letters, digits and "_+-.", not "." and not "..".
Result<void> ValidateContainerId(const std::string& id);

// Where a container is to be made.
struct Bundle {
  std::string path;    // absolute
  std::string rootfs;  // absolute, without symbolic links
  std::string config;  // config.json as it is
};
// kNotFound: there is no config.json, or no root file system where it says.
Result<Bundle> ReadBundle(const std::string& path);

// Whether runc knows a container of this ID there, running or not.
bool HasContainer(const std::string& id, const std::string& root);

// The file systems that make up a running container's files.
struct ContainerMounts {
  std::string upper_directory;  // of an overlay that is its root; empty: it is none
  std::vector<std::string>
      others;  // mount points but "/", sorted; what is in them is not the container's own
};
Result<ContainerMounts> MountsOfContainer(pid_t init_pid);

}  // namespace holdfast
