// What `run --detach` and `resume` say once the job runs.
#pragma once

#include "cli/command_line.h"
#include "cli/output.h"
#include "job/supervised_job.h"

namespace holdfast {

Json StartedJobToJson(const StartedJob& job);
void PrintStartedJob(const StartedJob& job, const GlobalOptions& global);
// In the foreground: news on stderr.
void PrintResumeNotice(const StartedJob& job);

}  // namespace holdfast
