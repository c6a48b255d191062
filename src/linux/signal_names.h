// Signals by their names.
#pragma once

#include <string>

#include "base/result.h"

namespace holdfast {

// "USR1", "SIGUSR1" or "10". kUsage: none of these.
Result<int> ParseSignal(const std::string& text);
// "SIGUSR1"; "signal 34" for one without a name.
std::string SignalName(int number);

}  // namespace holdfast
