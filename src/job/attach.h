// Sitting down at a running job.
#pragma once

#include <filesystem>
#include <functional>

#include "base/result.h"
#include "job/job_book.h"

namespace holdfast {

enum class AttachEnd { kDetached, kJobEnded };

// A --tty job: keyboard and screen are the job's until it ends or Ctrl-P Ctrl-Q is typed.
Result<AttachEnd> AttachToTerminal(const std::filesystem::path& job_directory);

// Copies the job's logs, all that is there.
Result<void> ShowJobLogs(const JobBook& book, const JobRecord& record);

// Copies what comes (`from_start`: what is there already, too) until the job ends, or until `stop`.
Result<AttachEnd> FollowJobLogs(const JobBook& book, const JobRecord& record, bool from_start,
                                const std::function<bool()>& stop);

}  // namespace holdfast
