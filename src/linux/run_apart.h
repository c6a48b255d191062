// Work that must not end half done when we are killed.
#pragma once

#include <functional>

#include "base/result.h"

namespace holdfast {

// Calls `work` in a process of its own, which shares our memory and descriptors, and waits for it. Killed, we
// leave it to complete what it does; no signal but a SIGKILL of its own stops it. So a call that is injected
// into another process comes to its end. Whatever traces a process there stops tracing it when it returns. An
// error of its own: there is no process to be had. Requires: nobody waits for any child of ours meanwhile.
Result<void> RunApart(const std::function<Result<void>()>& work);

// Whether we are such a process, and who started it is gone. Who then waits for what only that one could
// bring about has to end: by that it lets go of all that it traces and keeps open.
bool IsLeftApart();

}  // namespace holdfast
