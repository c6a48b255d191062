// The loopback device of a network namespace that has just been made: it is there, and down.
#pragma once

#include <vector>

#include "linux/ip_address.h"

namespace holdfast {

// Brings it up, which gives it 127.0.0.1 and ::1, and gives it `addresses` too, so that what is bound to them
// can be there. 0, or errno. Async-signal-safe.
int BringUpLoopback(const std::vector<IpAddress>& addresses) noexcept;

}  // namespace holdfast
