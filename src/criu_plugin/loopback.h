// SPDX-License-Identifier: MIT
// runc keeps nothing of a network namespace of the container's own (it has CRIU make an empty one), but for
// loopback, which it brings up when it starts a container and not when it restores one. Connections on
// loopback come back only where it is up.
#pragma once

namespace holdfast {

// In the network namespace that we are in. Best effort.
void BringUpLoopback();

}  // namespace holdfast
