// A pid namespace, and a mount and maybe a network namespace, for one restarted job, with an init of ours: it
// collects the job's orphans, and ends as the job's root ends. The kernel ends with it whatever is left in
// the namespace.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "linux/ip_address.h"

namespace holdfast {

// A file, or a directory with what is mounted in it, that is seen in the place of another one.
struct BindMount {
  std::string source;
  std::string target;
};

class NamespaceInit {
 public:
  // The job's root will be `root_in_namespace` there. The init is a child of the calling process and outlives
  // it. `mounts` are made in a mount namespace that the job has for itself. `network`: what its own network
  // namespace has beside loopback's addresses; without it, it shares ours.
  static Result<NamespaceInit> Start(pid_t root_in_namespace, const std::vector<BindMount>& mounts,
                                     const std::optional<std::vector<IpAddress>>& network);
  NamespaceInit(NamespaceInit&& other) noexcept;
  NamespaceInit& operator=(NamespaceInit&&) = delete;
  ~NamespaceInit();  // kills it, and with it the namespace, unless it was released

  pid_t pid() const { return pid_; }
  void Release() { pid_ = 0; }

 private:
  NamespaceInit(pid_t pid, Fd alive) : pid_(pid), alive_(std::move(alive)) {}
  pid_t pid_;
  Fd alive_;  // closed with us: an init that nobody has come to ends then
};

}  // namespace holdfast
