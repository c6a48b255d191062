// One process that CRIU has restored and that still stands still, with our plugin as its tracer: what is left
// to do in it is done from here.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include "base/fd.h"
#include "base/result.h"
#include "criu/plugin_server.h"

namespace holdfast {

struct RestoredTask {
  pid_t pid = 0;               // ours
  pid_t pid_in_namespace = 0;  // the job's
  PluginServer& server;
  const Fd& criu;  // a pidfd

  // Has it make a system call: what the kernel returned, -errno for an error.
  Result<int64_t> Call(uint32_t number, const std::array<uint64_t, 3>& arguments) const {
    return server.Call(criu, number, arguments);
  }
};

// Whose faults a userfaultfd is to tell of: those of the process's own instructions, which is allowed to
// anybody, or those of the kernel on its behalf as well, without which a system call that meets a missing
// page fails.
enum class FaultsOf { kInstructions, kEverything };

// A userfaultfd of its address space, ours alone. kUnsupported when the kernel refuses.
Result<Fd> MakeUserfaultfd(const RestoredTask& task, FaultsOf faults);

}  // namespace holdfast
