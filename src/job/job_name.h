// A name for a job whose user gave none: what it runs, in one word ("python3 train.py" is "train").
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// The word; always a valid lineage name.
std::string NameForCommand(const std::vector<std::string>& command);

// The word, or the word with "-2", "-3", ... when it is taken.
Result<std::string> FreeNameForCommand(const std::vector<std::string>& command,
                                       const std::function<bool(const std::string&)>& taken);

}  // namespace holdfast
