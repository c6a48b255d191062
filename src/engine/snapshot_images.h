// CRIU's image directory, into a snapshot and out of it again.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/result.h"
#include "criu/images.h"
#include "engine/frozen_job.h"
#include "store/store.h"

namespace holdfast {

// What CRIU wrote, stored as it is, but for what it would restore wrong: mapping flags told from a guess
// (`corrected`: pid in the job's namespace -> true details), and timers that have fired
// (criu/fired_timers.h), and data that TCP has not sent (criu/unsent_data.h).
Result<std::vector<ImageFile>> StoreImages(const std::string& directory, PendingSnapshot& pending,
                                           const std::map<pid_t, std::vector<MappingDetail>>& corrected);

// What a restart leaves to CRIU: pages that the kernel uses while a task is restored, and pages that a child
// shares with its parent, which CRIU restores shared.
struct CriuPages {
  std::map<pid_t, std::set<uint64_t>> by_task;  // page addresses
};

// Writes the image directory for `criu restore`.
Result<CriuPages> RebuildImages(const std::string& directory, const Manifest& manifest,
                                const BlockReader& blocks);

Result<std::vector<ProcessTreeEntry>> ReadProcessTree(const Manifest& manifest, const BlockReader& blocks);

// When the job was killed with data that the other end had not taken yet, the kernel goes on delivering it.
// CRIU cannot make the connection again as long ("Cannot assign requested address"), so that is ended.
Result<void> EndLeftConnections(const Manifest& manifest, const BlockReader& blocks);

}  // namespace holdfast
