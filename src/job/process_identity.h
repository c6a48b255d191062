// A process that is named for ever: a pid is used again, a pid with its start time in one boot is not.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"

namespace holdfast {

struct ProcessIdentity {
  pid_t pid = 0;             // 0: nobody
  uint64_t start_ticks = 0;  // since boot
  std::string boot_id;       // /proc/sys/kernel/random/boot_id

  bool operator==(const ProcessIdentity&) const = default;
};

Result<ProcessIdentity> IdentifyProcess(pid_t pid);

// Whether this very process runs; a zombie does not, and another process that got its pid is not it.
bool IsAlive(const ProcessIdentity& identity);

}  // namespace holdfast
