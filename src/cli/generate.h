// Man pages and shell completions, out of what the commands say of themselves.
#pragma once

#include <string>

#include "cli/command_text.h"

namespace holdfast {

std::string FormatManPage(const CommandPage& page, const ProgramPage& program);
std::string FormatBashCompletion(const ProgramPage& program);
std::string FormatZshCompletion(const ProgramPage& program);
std::string FormatFishCompletion(const ProgramPage& program);

}  // namespace holdfast
