// The files that a job without a terminal writes to, in its directory: output.log, or stdout.log and
// stderr.log. The job holds them itself, so that nothing happens to it when its supervisor dies.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "job/job_output.h"
#include "job/job_record.h"

namespace holdfast {

struct LogFile {
  std::filesystem::path path;
  int copy_to = 1;  // which of our descriptors shows it
};

std::vector<LogFile> LogFilesOf(const std::filesystem::path& job_directory, bool merged_output);

// O_APPEND, 0600. `fresh`: what an earlier job of this name wrote goes.
Result<Fd> OpenLog(const std::filesystem::path& path, bool fresh);

// Whether two descriptors are the same open file, as after 2>&1.
bool SameOpenFile(int a, int b);

// Copies logs to our stdout and stderr as they grow. `offsets`: where to begin in each.
Result<std::unique_ptr<JobOutput>> FollowLogs(const std::vector<LogFile>& logs,
                                              const std::vector<uint64_t>& offsets);

// A log from `offset` to its end, once. Returns where it ended.
Result<uint64_t> CopyLog(const LogFile& log, uint64_t offset);

}  // namespace holdfast
