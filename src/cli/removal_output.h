#pragma once

#include "cli/command_line.h"
#include "job/remove_job.h"

namespace holdfast {

// What `rm` and `prune` removed. `dry_run`: what they would.
void PrintRemoval(const Removal& removal, const GlobalOptions& global, bool dry_run);

}  // namespace holdfast
