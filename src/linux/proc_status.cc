// /proc/PID/stat and status, and the small files that describe a process as a whole.
#include <fcntl.h>
#include <unistd.h>

#include <ctime>

#include "base/fd.h"
#include "linux/proc.h"
#include "linux/proc_text.h"

namespace holdfast {

namespace {

// Of include/linux/sched.h, the same since 2.6.27.
constexpr uint32_t kPfExiting = 0x00000004;
constexpr uint32_t kPfKthread = 0x00200000;

Error Unreadable(std::string_view file) {
  return Fail(ErrorKind::kInternal, "/proc/PID/" + std::string(file) + " makes no sense");
}

template <typename Number>
bool TakeNumber(std::string_view& text, Number& value) {
  const auto number = ParseNumber<Number>(TakeWord(text));
  if (number) value = *number;
  return number.has_value();
}

// "12 (a name) S 1 12 12 0 -1 4194560 ..." The name may hold blanks and parentheses: it ends at the last ')'.
bool ParseStat(std::string_view text, ProcessStatus& status) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return false;
  std::string_view before = text.substr(0, open);
  if (!TakeNumber(before, status.pid)) return false;
  status.name = text.substr(open + 1, close - open - 1);

  std::string_view rest = text.substr(close + 1);
  const std::string_view state = TakeWord(rest);
  if (state.size() != 1) return false;
  status.state = state.front();
  uint32_t flags = 0;
  if (!TakeNumber(rest, status.parent) || !TakeNumber(rest, status.group) ||
      !TakeNumber(rest, status.session)) {
    return false;
  }
  TakeWord(rest);  // tty_nr
  TakeWord(rest);  // tpgid
  if (!TakeNumber(rest, flags)) return false;
  status.kernel_thread = (flags & kPfKthread) != 0;
  status.exiting = (flags & kPfExiting) != 0;
  for (int field = 10; field < 14; ++field) TakeWord(rest);
  uint64_t of_children = 0;
  if (!TakeNumber(rest, status.user_ticks)) return false;
  TakeWord(rest);  // stime
  if (!TakeNumber(rest, of_children)) return false;
  status.user_ticks += of_children;
  for (int field = 17; field < 22; ++field) TakeWord(rest);
  return TakeNumber(rest, status.start_ticks);
}

bool ParseStatusField(std::string_view key, std::string_view value, ProcessStatus& status) {
  if (key == "Uid") return TakeNumber(value, status.uid) && TakeNumber(value, status.effective_uid);
  if (key == "Gid") return TakeNumber(value, status.gid);
  if (key == "TracerPid") return TakeNumber(value, status.tracer);
  if (key == "Seccomp") return TakeNumber(value, status.seccomp_mode);
  if (key == "VmRSS" || key == "RssAnon" || key == "VmHWM" || key == "VmLck") {
    uint64_t kibibytes = 0;
    if (!TakeNumber(value, kibibytes) || kibibytes > UINT64_MAX / 1024) return false;
    uint64_t& bytes = key == "VmRSS"     ? status.resident_bytes
                      : key == "RssAnon" ? status.anonymous_bytes
                      : key == "VmHWM"   ? status.peak_resident_bytes
                                         : status.locked_bytes;
    bytes = kibibytes * 1024;
    return true;
  }
  if (key == "NSpid") {
    pid_t pid = 0;
    while (value.find_first_not_of(" \t") != std::string_view::npos) {
      if (!TakeNumber(value, pid)) return false;
      status.namespace_pids.push_back(pid);
    }
  }
  return true;
}

Result<std::string> ReadFileAt(int directory, const char* name, const std::string& path) {
  const Fd file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return FailErrno("cannot open " + path);
  return ReadAll(file.get(), path);
}

}  // namespace

Result<ProcessStatus> ParseStatus(std::string_view stat, std::string_view status_text) {
  ProcessStatus status;
  if (!ParseStat(stat, status)) return Unreadable("stat");
  bool uid_seen = false;
  while (!status_text.empty()) {
    const std::string_view line = TakeLine(status_text);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return Unreadable("status");
    const std::string_view key = line.substr(0, colon);
    if (!ParseStatusField(key, line.substr(colon + 1), status)) return Unreadable("status");
    uid_seen = uid_seen || key == "Uid";
  }
  if (!uid_seen) return Unreadable("status");
  if (status.namespace_pids.empty()) status.namespace_pids.push_back(status.pid);
  return status;
}

Result<ProcessStatus> ReadStatus(pid_t pid) {
  // Through one directory descriptor: it stays with this process even if the pid is given to another.
  const std::string path = ProcPath(pid, "");
  const Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    Error error = FailErrno("cannot look at process " + std::to_string(pid));
    if (error.kind == ErrorKind::kNotFound) error.message = "there is no process " + std::to_string(pid);
    return error;
  }
  const std::string stat = TRY(ReadFileAt(directory.get(), "stat", path + "stat"));
  return ParseStatus(stat, TRY(ReadFileAt(directory.get(), "status", path + "status")));
}

Result<int64_t> StartedMs(pid_t pid) {
  const ProcessStatus status = TRY(ReadStatus(pid));
  timespec now{};
  timespec since_boot{};
  clock_gettime(CLOCK_REALTIME, &now);
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const auto milliseconds = [](const timespec& time) {
    return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  };
  const auto started =
      static_cast<int64_t>(status.start_ticks * 1000 / static_cast<uint64_t>(sysconf(_SC_CLK_TCK)));
  return milliseconds(now) - milliseconds(since_boot) + started;
}

Result<std::vector<std::string>> ReadCommandLine(pid_t pid) {
  return SplitAtNul(TRY(ReadFile(ProcPath(pid, "cmdline"))));
}

Result<std::vector<std::string>> ReadEnvironment(pid_t pid) {
  return SplitAtNul(TRY(ReadFile(ProcPath(pid, "environ"))));
}

Result<std::string> ReadWorkingDirectory(pid_t pid) {
  const std::string path = ProcPath(pid, "cwd");
  return ReadLinkAt(AT_FDCWD, path.c_str(), path);
}

Result<std::string> ReadNamespace(pid_t pid, std::string_view kind) {
  const std::string path = ProcPath(pid, "ns/") + std::string(kind);
  return ReadLinkAt(AT_FDCWD, path.c_str(), path);
}

}  // namespace holdfast
