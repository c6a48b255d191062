// What the engine is doing, on stderr: a bar on a terminal, a line for each phase elsewhere, nothing when the
// user wants quiet. Also how Ctrl-C gets to the engine: see SignalFence.
#pragma once

#include <memory>

#include "base/progress.h"

namespace holdfast {

// Whatever is drawn is wiped when it goes. Requires: a SignalFence stands while it is used.
std::unique_ptr<Progress> MakeProgress(bool quiet);

}  // namespace holdfast
