// What a process's cgroups let it have.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace holdfast {

// The least of (limit - usage + reclaimable page cache) over the process's memory cgroup and those above it,
// v1 or v2; nothing when no limit is set or none can be read.
std::optional<uint64_t> CgroupMemoryHeadroom(pid_t pid);

// The CPUs that the process's cpuset offers ("0-3,8"), v1 or v2; nothing when there is none that can be read.
std::optional<std::string> CgroupCpus(pid_t pid);

// MemAvailable of /proc/meminfo.
Result<uint64_t> MemoryAvailable();

}  // namespace holdfast
