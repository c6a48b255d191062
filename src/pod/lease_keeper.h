// Renews a lease between the commands that use it, until there is an agent on each node that does.
#pragma once

#include <chrono>

#include "base/result.h"
#include "lease/lease.h"

namespace holdfast {

// What a holder promises; a successor elsewhere waits a quarter longer before it takes it for dead.
inline constexpr std::chrono::milliseconds kTimeToLive{60'000};

// Leaves a process that renews the lease as long as its holder is there (IsGone) and has not lost it. It
// outlives us, holds no descriptors, and gives nothing back. Requires: a single thread.
Result<void> KeepRenewed(const Lease& lease);

}  // namespace holdfast
