// `holdfast ps`: every job that has a record, and every lineage that has none (of a store that came from
// elsewhere).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "job/job_book.h"
#include "store/store.h"

namespace holdfast {

struct JobRow {
  JobRecord record;
  JobState state = JobState::kLost;
  std::optional<JobEnding> ending;
  uint64_t snapshots = 0;
  std::optional<SnapshotId> newest;
};

struct JobTable {
  std::vector<JobRow> rows;     // by name
  std::vector<Error> problems;  // what could not be read; the rest is shown all the same
};

Result<JobTable> ListJobs(const Store& store);

// Every name that a command could mean.
std::vector<std::string> KnownNames(const Store& store);

}  // namespace holdfast
