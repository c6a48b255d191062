// On which CPUs a thread may run.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// "0-3,8" as the kernel writes it. kCorrupt for anything else, or a CPU beyond limits::kCpusMax.
Result<std::set<unsigned>> ParseCpuList(std::string_view text);

// The CPUs that the thread is bound to, as the kernel writes them; nothing when it may run on every CPU that
// its cpuset, or else the machine, has.
Result<std::optional<std::string>> ReadAffinity(pid_t thread);

// kUnsupported when the thread may run on none of these CPUs here.
Result<void> SetAffinity(pid_t thread, std::string_view cpu_list);

}  // namespace holdfast
