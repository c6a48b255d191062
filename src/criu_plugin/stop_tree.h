// SPDX-License-Identifier: MIT
// Stopping a whole tree at once.
//
// CRIU 4.1 stops thread after thread: it seizes one, interrupts it and waits until it stands still, then
// turns to the next. A thread must get a CPU in order to stop, and on a busy machine each one waits for its
// turn while those before it stand still already: seconds for 64 busy threads. Here all of them are told
// first; each stops as soon as it runs, and CRIU finds them stopped.
#pragma once

#include <sys/types.h>

namespace holdfast {

// Seizes and interrupts every thread of `root` and of all processes below it, without waiting for any. Best
// effort: what it misses, CRIU stops.
void StopTree(pid_t root);

// Whether StopTree has seized this thread: CRIU's own attempt would fail.
bool WasSeized(pid_t thread);

// Whether StopTree has interrupted this thread and CRIU's own interrupt has not come yet. True once: a second
// interrupt would stop the thread again after it was let go.
bool TakeInterrupt(pid_t thread);

}  // namespace holdfast
