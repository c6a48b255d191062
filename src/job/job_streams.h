// What a job gets as its descriptors 0, 1 and 2.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "job/job_output.h"
#include "job/log_files.h"
#include "job/terminal.h"

namespace holdfast {

// Of our own stdin: a file, a pipe or /dev/null is passed on. A terminal is not (a job in a session of its
// own cannot have it), nor is a socket (its other end cannot be checkpointed): /dev/null takes their place.
// `notice`: filled in when that may surprise.
Result<Fd> OpenJobStdin(std::string* notice);

// Without --tty: the log files that the job writes to.
struct LogStreams {
  std::vector<LogFile> files;
  Fd out;
  Fd err;  // the same open file as `out` when the output is merged
};
// `fresh`: begin with empty logs.
Result<LogStreams> OpenLogStreams(const std::filesystem::path& job_directory, bool merged_output, bool fresh);

// With --tty: a terminal of ours.
struct TerminalStreams {
  Pty pty;
  Fd log;
};
Result<TerminalStreams> OpenTerminalStreams(const std::filesystem::path& job_directory, bool fresh);

// Copies to our terminal, unless we are in the background.
Result<std::unique_ptr<JobOutput>> ShowLogs(const std::vector<LogFile>& files,
                                            const std::vector<uint64_t>& offsets, bool background);
Result<std::unique_ptr<JobOutput>> ShowTerminal(TerminalStreams streams,
                                                const std::filesystem::path& job_directory, bool background);

}  // namespace holdfast
