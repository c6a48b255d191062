// The supervisor's end of a --tty job: what the job writes on its pty goes to the user's terminal, to the log
// and to everyone attached; what they type goes to the job.
#pragma once

#include <filesystem>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "job/job_output.h"
#include "job/terminal.h"

namespace holdfast {

struct RelayEnds {
  int keyboard = -1;  // the user's input, -1: none
  int screen = -1;    // the user's output, -1: none
  Fd log;
  std::filesystem::path job_directory;  // for the attach socket
};

// The user's terminal, if there is one, is raw until the relay is gone.
Result<std::unique_ptr<JobOutput>> RelayTerminal(Pty pty, RelayEnds ends);

}  // namespace holdfast
