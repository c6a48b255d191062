// How a supervisor knows that its job was stopped after a snapshot and not just killed. `checkpoint --stop`
// leaves a note in the job's directory before it begins; the engine kills the job only when the snapshot is
// committed. So a job that died by SIGKILL while there is a note, and whose lineage has a snapshot newer than
// the note says, was checkpointed. Written and removed under the job's lock.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace holdfast {

struct StopRequest {
  uint64_t newest_before = 0;  // version, 0: none
  std::string snapshot;        // what it led to; empty: not committed yet
};

Result<void> WriteStopRequest(const std::filesystem::path& job_directory, const StopRequest& request);
// None when there is none, or none that can be read.
std::optional<StopRequest> ReadStopRequest(const std::filesystem::path& job_directory);
void RemoveStopRequest(const std::filesystem::path& job_directory);

}  // namespace holdfast
