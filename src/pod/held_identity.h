// The lease of an identity, from one command to the next: each is a process of its own, and the lease stays
// held between them.
#pragma once

#include <chrono>
#include <filesystem>

#include "base/result.h"
#include "lease/lease.h"
#include "pod/holder.h"
#include "pod/identity.h"

namespace holdfast {

// Waits for it as long as `patience`: until it is given back, or its holder is gone. kBusy: it is held by
// another still, whom the message names.
Result<Lease> TakeIdentity(const std::filesystem::path& store, const PodIdentity& identity,
                           const Holder& holder, std::chrono::milliseconds patience);

// That which this container holds already; `holder.worker` works for it from now on. Who works for it so far
// is waited for as long as `patience`. kBusy: it does not hold it, or that one goes on.
Result<Lease> AdoptIdentity(const std::filesystem::path& store, const PodIdentity& identity,
                            const Holder& holder, std::chrono::milliseconds patience);

}  // namespace holdfast
