// Configuration files: read whole, replaced in one step, their mode and owner kept.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// A file and what it is to be.
struct FileChange {
  std::filesystem::path path;
  std::optional<std::string> before;  // its content; none: there is no such file
  std::optional<std::string> after;
};

// None: there is no such file. What is larger than kSettingsBytesMax is refused.
Result<std::optional<std::string>> ReadTextFile(const std::filesystem::path& path);

// Makes or replaces the file; behind a link, the file that it leads to. A new one gets mode 0644, in
// directories that are made when they are not there.
Result<void> WriteTextFile(const std::filesystem::path& path, std::string_view content);

// A new file beside `original`, of its mode and owner: what is in it may be secret.
Result<void> WriteBackup(const std::filesystem::path& original, const std::filesystem::path& backup,
                         std::string_view content);

// In the order given. A file that goes takes along the directory that was made for it (MadeFor).
Result<void> Apply(const std::vector<FileChange>& changes);

}  // namespace holdfast
