// Which container this is, to those who look for its snapshot later and elsewhere: its pod's namespace and
// name, its own name, and who owns the pod. Everything in it becomes part of a path, and anybody who may
// create a pod chooses most of it: so it is taken only in the exact form that Kubernetes gives it.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/container_json.h"

namespace holdfast {

struct ContainerIdentity {
  std::string id;  // the engine's own, another one at each start
  bool in_pod = false;

  // Of a container in a pod; empty otherwise.
  std::string pod_namespace;
  std::string pod_name;
  std::string pod_uid;
  std::string container_name;

  // From annotations holdfast.dev/...; empty: not given.
  std::string owner_uid;      // of the pod's controller
  std::string template_hash;  // of what the controller makes pods from: pods of another template are others
  std::string slot;  // which of the controller's pods: an ordinal, a completion index, a replica's slot
};

enum class PodRole { kNoPod, kSandbox, kContainer };
// By io.kubernetes.cri.container-type (containerd) or io.kubernetes.cri-o.ContainerType. What is neither is
// kSandbox: it is not ours to take.
PodRole RoleInPod(const Annotations& annotations);

// The name that the pod's specification gives the container; empty when there is no pod.
std::string ContainerName(const Annotations& annotations);

// kUsage names the annotation that is missing or that is no name.
Result<ContainerIdentity> Identify(std::string_view id, const Annotations& annotations);

// What runc itself takes for an id (libcontainer's idRegex), less what cannot be one directory.
bool IsContainerId(std::string_view text);

// The value of an annotation; empty when there is none.
std::string_view Find(const Annotations& annotations, std::string_view key);

}  // namespace holdfast
