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

// Anonymous shared memory is left empty by CRIU: where a process maps an object, so that it can be filled.
struct SharedMemoryPlace {
  pid_t pid = 0;  // as the job sees it
  uint64_t address = 0;
  const SharedObject* object = nullptr;  // the manifest's
};

struct RebuiltImages {
  CriuPages pages;
  std::vector<SharedMemoryPlace> shared;  // one for each object that is left empty
};

// Writes the image directory for `criu restore`.
Result<RebuiltImages> RebuildImages(const std::string& directory, const Manifest& manifest,
                                    const BlockReader& blocks);

Result<std::vector<ProcessTreeEntry>> ReadProcessTree(const Manifest& manifest, const BlockReader& blocks);

// Of the files and sockets that are open (criu/socket_images.h).
inline constexpr const char* kFilesImage = "files.img";
Result<std::string> ReadFilesImage(const Manifest& manifest, const BlockReader& blocks);

}  // namespace holdfast
