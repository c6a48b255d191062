// Snapshots as the JSON documents that scripts rely on.
#pragma once

#include "cli/output.h"
#include "job/checkpoint_job.h"
#include "store/manifest.h"

namespace holdfast {

Json CheckpointToJson(const JobCheckpoint& checkpoint);
// What was expected of the freeze, and what came of it; null where that was not recorded.
Json FreezeToJson(const Manifest& manifest);

Json SummaryToJson(const SnapshotSummary& summary);
// Everything that is inside.
Json ManifestToJson(const Manifest& manifest, const SnapshotSummary& summary);

// Bytes of the snapshot's memory that lie in [start, end) of a task.
uint64_t StoredBytesWithin(const AddressSpace& space, uint64_t start, uint64_t end);
const AddressSpace* FindAddressSpace(const Manifest& manifest, int32_t pid);

}  // namespace holdfast
