// A job that runs before all of its memory is back: what a checkpoint of it waits for, and what its
// supervisor watches.
#pragma once

#include <filesystem>
#include <string>

#include "base/progress.h"
#include "base/result.h"
#include "engine/fill_record.h"

namespace holdfast {

std::filesystem::path FillRecordOf(const std::filesystem::path& job_directory);
void RemoveFillRecord(const std::filesystem::path& job_directory);

// Returns when the job `name` has all of its memory. kCorrupt when it will never have.
Result<void> WaitUntilFilled(const std::filesystem::path& job_directory, const std::string& name,
                             Progress* progress);

}  // namespace holdfast
