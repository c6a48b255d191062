// Supervising in the background: the command returns once the job runs, and its supervisor stays.
#pragma once

#include <functional>

#include "base/result.h"
#include "job/supervised_job.h"

namespace holdfast {

// Runs `supervise` (RunJob or ResumeJob with background = true) in a process that belongs to no terminal and
// no shell, and returns what it told its OnStarted, or the error that it ended with before that. Requires: a
// single thread.
Result<StartedJob> SuperviseDetached(
    const std::function<Result<int>(const OnStarted& on_started)>& supervise);

}  // namespace holdfast
