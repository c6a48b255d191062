// --files DIR, of the commands that have it.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast {

// May be given more than once, each with one directory.
void AddFilesOption(CLI::App& command, std::vector<std::string>& files, const std::string& description);

// Of the commands that change it: nothing when it was not given; none for "off".
Result<std::optional<std::vector<std::string>>> ParseFiles(const std::vector<std::string>& files);

}  // namespace holdfast
