// Sitting down at a running job.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "job/job_book.h"

namespace holdfast {

enum class AttachEnd { kDetached, kJobEnded };

// A --tty job: keyboard and screen are the job's until it ends or Ctrl-P Ctrl-Q is typed.
Result<AttachEnd> AttachToTerminal(const std::filesystem::path& job_directory);

// Copies the job's logs. `from_start`: what is there already, too. `follow`: and what comes, until it ends.
Result<void> ShowJobLogs(const JobBook& book, const JobRecord& record, bool from_start, bool follow);

}  // namespace holdfast
