#include "cli/exit_code.h"

namespace holdfast {

int ExitCode(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 64;
    case ErrorKind::kCorrupt:
      return 65;
    case ErrorKind::kNotFound:
      return 66;
    case ErrorKind::kUnsupported:
      return 69;
    case ErrorKind::kInternal:
      return 70;
    case ErrorKind::kCriu:
      return 71;
    case ErrorKind::kNoSpace:
      return 72;
    case ErrorKind::kExists:
      return 73;
    case ErrorKind::kIo:
      return 74;
    case ErrorKind::kBusy:
      return 76;
    case ErrorKind::kPermission:
      return 77;
    case ErrorKind::kInterrupted:
      return 130;
  }
  return 70;
}

std::vector<ExitCodeText> AllExitCodes() {
  auto of = [](ErrorKind kind, std::string what) {
    return ExitCodeText{ExitCode(kind), std::string(ErrorKindName(kind)), std::move(what)};
  };
  return {
      {0, "success", "it was done; for run and resume: the job exited with 0"},
      of(ErrorKind::kUsage, "the command line, or an argument, makes no sense"),
      of(ErrorKind::kCorrupt, "stored data is damaged or of another version; verify found problems"),
      of(ErrorKind::kNotFound, "no such job, snapshot, process, program or file"),
      of(ErrorKind::kUnsupported,
         "the job or the machine has something that cannot be checkpointed or restored"),
      of(ErrorKind::kInternal, "a fault of Holdfast itself"),
      of(ErrorKind::kCriu, "CRIU failed; the message has its own words"),
      of(ErrorKind::kNoSpace, "the store's file system is, or would be, full"),
      of(ErrorKind::kExists, "the name, the snapshot or the pid is taken already"),
      of(ErrorKind::kIo, "any other system call that failed"),
      {75, "checkpointed", "run and resume: the job was stopped after a last snapshot; resume goes on"},
      of(ErrorKind::kBusy, "somebody else holds the lock"),
      of(ErrorKind::kPermission, "the kernel or the file system said no"),
      of(ErrorKind::kInterrupted, "stopped by Ctrl-C; what was begun has been undone"),
  };
}

}  // namespace holdfast
