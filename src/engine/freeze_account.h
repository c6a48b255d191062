// What a freeze was expected to take and what it took, kept with the snapshot: for people, and for the next
// one's expectations.
#pragma once

#include "engine/engine.h"
#include "engine/frozen_job.h"
#include "engine/job_tree.h"
#include "engine/precopy.h"

namespace holdfast {

// What the next freeze is going to take besides the capture of memory: what it took at the parent, or a
// guess.
double ExpectRestMs(const Manifest* parent, const JobTree& tree);

// Writes it all into the facts of a manifest that has its figures, and a warning where the budget was not
// kept. `rest_ms`: as expected before.
void RecordFreeze(const CheckpointOptions& options, const Captured& captured, const PreCopied& precopied,
                  double rest_ms, Manifest& manifest);

}  // namespace holdfast
