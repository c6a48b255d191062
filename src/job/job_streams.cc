#include "job/job_streams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "job/terminal_relay.h"

namespace holdfast {

namespace {

Result<Fd> DevNull() {
  Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null.valid()) return FailErrno("cannot open /dev/null");
  return null;
}

Result<Fd> Duplicate(int fd) {
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return FailErrno("cannot duplicate a descriptor");
  return copy;
}

}  // namespace

Result<Fd> OpenJobStdin(std::string* notice) {
  struct stat in {};
  if (::fstat(STDIN_FILENO, &in) != 0) return DevNull();  // closed
  const bool null_device = S_ISCHR(in.st_mode) && in.st_rdev == makedev(1, 3);
  if (S_ISREG(in.st_mode) || S_ISFIFO(in.st_mode) || null_device) return Duplicate(STDIN_FILENO);
  if (::isatty(STDIN_FILENO) == 0) {
    *notice = "stdin is no file and no pipe, so it could not be checkpointed: the job reads /dev/null";
  }
  return DevNull();
}

Result<LogStreams> OpenLogStreams(const std::filesystem::path& job_directory, bool merged_output,
                                  bool fresh) {
  LogStreams streams;
  streams.files = LogFilesOf(job_directory, merged_output);
  streams.out = TRY(OpenLog(streams.files.front().path, fresh));
  streams.err =
      merged_output ? TRY(Duplicate(streams.out.get())) : TRY(OpenLog(streams.files.back().path, fresh));
  return streams;
}

Result<TerminalStreams> OpenTerminalStreams(const std::filesystem::path& job_directory, bool fresh) {
  WindowSize size;
  for (const int fd : {STDOUT_FILENO, STDIN_FILENO}) {
    if (const auto ours = ReadWindowSize(fd)) {
      size = *ours;
      break;
    }
  }
  TerminalStreams streams;
  streams.pty = TRY(OpenPty(size));
  streams.log = TRY(OpenLog(LogFilesOf(job_directory, true).front().path, fresh));
  return streams;
}

Result<std::unique_ptr<JobOutput>> ShowLogs(const std::vector<LogFile>& files,
                                            const std::vector<uint64_t>& offsets, bool background) {
  if (background) return FollowLogs({}, {});
  return FollowLogs(files, offsets);
}

Result<std::unique_ptr<JobOutput>> ShowTerminal(TerminalStreams streams,
                                                const std::filesystem::path& job_directory, bool background) {
  RelayEnds ends;
  ends.keyboard = background ? -1 : STDIN_FILENO;
  ends.screen = background ? -1 : STDOUT_FILENO;
  ends.log = std::move(streams.log);
  ends.job_directory = job_directory;
  return RelayTerminal(std::move(streams.pty), std::move(ends));
}

}  // namespace holdfast
