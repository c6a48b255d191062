// Who holds an identity's lease: a container, named so that whoever is on its machine can tell whether it is
// gone.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "job/process_identity.h"
#include "lease/lease.h"

namespace holdfast {

struct Holder {
  std::string pod_uid;
  std::string container;  // its name in the pod
  std::string id;
  std::string root;  // where runc keeps its state
  // A process that makes the container, or takes its last snapshot: while it lives, the holder is not gone.
  ProcessIdentity worker;
  // In which `root` is looked for, "mnt:[4026531841]": two nodes of a cluster may be on one kernel.
  std::string mount_namespace;

  // LeaseRecord::holder: "POD-UID/CONTAINER/ID PID.TICKS.BOOT-ID MOUNT-NAMESPACE ROOT"
  std::string ToText() const;
  static Result<Holder> Parse(std::string_view text);

  bool IsSameContainer(const Holder& other) const;
};

// Holder::mount_namespace of this process.
Result<std::string> MountNamespace();

// LeaseRecord::node of this machine: its host name.
std::string NodeName();

// Whether the holder can do no more harm: it was on this machine, which has been started again since; or its
// worker has ended, and runc does not know the container, or its first process has ended. False where that
// cannot be told, as from another mount namespace.
bool IsGone(const LeaseRecord& record);

}  // namespace holdfast
