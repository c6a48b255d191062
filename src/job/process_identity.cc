#include "job/process_identity.h"

#include "linux/proc.h"

namespace holdfast {

namespace {

Result<std::string> BootId() {
  std::string text = TRY(ReadFile("/proc/sys/kernel/random/boot_id"));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace

Result<ProcessIdentity> IdentifyProcess(pid_t pid) {
  const ProcessStatus status = TRY(ReadStatus(pid));
  return ProcessIdentity{.pid = pid, .start_ticks = status.start_ticks, .boot_id = TRY(BootId())};
}

bool IsAlive(const ProcessIdentity& identity) {
  if (identity.pid <= 0) return false;
  const Result<ProcessStatus> status = ReadStatus(identity.pid);
  if (!status || status->zombie() || status->start_ticks != identity.start_ticks) return false;
  const Result<std::string> boot = BootId();
  return boot && *boot == identity.boot_id;
}

}  // namespace holdfast
