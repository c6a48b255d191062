#include "agent/crio_handler.h"

#include <fmt/format.h>

#include "agent/marked_text.h"
#include "agent/toml_text.h"

namespace holdfast {

namespace {

std::filesystem::path FileOf(const CrioOptions& options) {
  return options.directory / "90-holdfast.conf";
}

Result<std::optional<std::string>> ReadOurs(const CrioOptions& options) {
  std::optional<std::string> text = TRY(ReadTextFile(FileOf(options)));
  if (text && !TakeMarked(*text).found) {
    return Fail(ErrorKind::kExists, FileOf(options).string() + " is there and is not ours");
  }
  return text;
}

}  // namespace

Result<HandlerPlan> PlanCrioInstall(const CrioOptions& options) {
  const std::optional<std::string> before = TRY(ReadOurs(options));
  const bool directory_made =
      before ? TakeMarked(*before).made.directory : !std::filesystem::exists(options.directory);
  // CRI-O gives all of a pod's annotations to its containers (1.2x, SpecAddAnnotations), so none need be
  // allowed here.
  const std::string text = fmt::format(
      "[{}]\nruntime_path = {}\nruntime_type = \"oci\"\nruntime_root = \"/run/holdfast/oci\"\n",
      TomlTableName({"crio", "runtime", "runtimes", options.name}), TomlString(options.runtime.string()));
  const std::string after = AddMarked("", text, {.file = true, .directory = directory_made});
  HandlerPlan plan;
  if (before != after) plan.changes.push_back({FileOf(options), before, after});
  return plan;
}

Result<HandlerPlan> PlanCrioUninstall(const CrioOptions& options) {
  HandlerPlan plan;
  const std::optional<std::string> before = TRY(ReadOurs(options));
  if (before) plan.changes.push_back({FileOf(options), before, std::nullopt});
  return plan;
}

Result<std::string> FindCrioHandler(const CrioOptions& options) {
  return TRY(ReadOurs(options)) ? FileOf(options).string() : std::string();
}

}  // namespace holdfast
