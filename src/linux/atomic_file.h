// Small files that are there whole or not at all, whatever happens to the machine.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// Writes a new file beside `path`, makes it durable and renames it over `path`. Mode 0600.
Result<void> WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

// Where the descriptor is; `path` is for the error's message.
Result<void> WriteAll(int fd, std::string_view content, const std::string& path);

}  // namespace holdfast
