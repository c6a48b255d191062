#include "cli/removal_output.h"

#include <fmt/format.h>

#include "base/units.h"
#include "cli/output.h"

namespace holdfast {

void PrintRemoval(const Removal& removal, const GlobalOptions& global, bool dry_run) {
  if (global.json) {
    PrintJson({{"removed", removal.removed}, {"bytes_freed", removal.bytes_freed}, {"dry_run", dry_run}});
    return;
  }
  if (global.quiet) return;
  for (const std::string& name : removal.removed)
    fmt::print("{} {}\n", dry_run ? "would remove" : "removed", name);
  fmt::print("{} {}\n", dry_run ? "would free" : "freed", FormatBytes(removal.bytes_freed));
}

}  // namespace holdfast
