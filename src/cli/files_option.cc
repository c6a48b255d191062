#include "cli/files_option.h"

#include <algorithm>
#include <CLI/CLI.hpp>
#include <utility>

namespace holdfast {

void AddFilesOption(CLI::App& command, std::vector<std::string>& files, const std::string& description) {
  command.add_option("--files", files, description)
      ->type_name("DIR")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
}

Result<std::optional<std::vector<std::string>>> ParseFiles(const std::vector<std::string>& files) {
  using Files = std::optional<std::vector<std::string>>;
  if (files.empty()) return Files();
  if (std::find(files.begin(), files.end(), "off") == files.end()) return Files(files);
  if (files.size() == 1) return Files(std::in_place);
  return Fail(ErrorKind::kUsage, "--files: 'off' and directories")
      .WithHint("a directory of that name is ./off");
}

}  // namespace holdfast
