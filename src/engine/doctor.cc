// What this machine can and cannot do, found by trying, never by version numbers.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <string>

#include "base/page.h"
#include "base/units.h"
#include "criu/find_criu.h"
#include "engine/engine.h"
#include "linux/cgroup.h"
#include "linux/pagemap_scan.h"
#include "linux/pidfd.h"
#include "linux/proc.h"

namespace holdfast {
namespace {

Finding Ok(std::string subject, std::string what) {
  return {FindingLevel::kOk, std::move(subject), std::move(what), {}};
}
Finding Degraded(std::string subject, std::string what, std::string remedy) {
  return {FindingLevel::kDegraded, std::move(subject), std::move(what), std::move(remedy)};
}
Finding Broken(std::string subject, std::string what, std::string remedy) {
  return {FindingLevel::kBroken, std::move(subject), std::move(what), std::move(remedy)};
}

Finding CheckPlugin() {
  const Result<std::string> directory = FindPluginDirectory();
  if (directory) return Ok("plugin", "Holdfast's CRIU plugin is in " + *directory);
  return Broken("plugin", directory.error().message, directory.error().hint);
}

// Effective capabilities of this process: CapEff of /proc/self/status.
uint64_t EffectiveCapabilities() {
  const std::string text = ReadFile("/proc/self/status").value_or("");
  constexpr std::string_view kKey = "CapEff:\t";
  const size_t at = text.find(kKey);
  uint64_t mask = 0;
  if (at != std::string::npos)
    std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), mask, 16);
  return mask;
}

void CheckCapabilities(std::vector<Finding>& findings) {
  const uint64_t mask = EffectiveCapabilities();
  const auto has = [mask](int capability) { return (mask >> capability & 1) != 0; };
  if (has(CAP_SYS_ADMIN) && has(CAP_SYS_PTRACE)) {
    findings.push_back(Ok("privileges", "may trace and restore any process"));
  } else {
    findings.push_back(
        Broken("privileges", "CAP_SYS_ADMIN or CAP_SYS_PTRACE is missing", "run holdfast as root"));
  }
  if (has(CAP_SYS_RESOURCE)) {
    findings.push_back(Ok("CAP_SYS_RESOURCE", "may raise any limit"));
  } else {
    findings.push_back(
        Degraded("CAP_SYS_RESOURCE",
                 "not held: limits of other users' tasks are read from /proc, and a hard limit above ours "
                 "cannot be given back",
                 "give the container CAP_SYS_RESOURCE if jobs need such limits"));
  }
}

Finding CheckPagemapScan() {
  const Result<PagemapScanner> scanner = PagemapScanner::Open(getpid());
  if (scanner) {
    const auto here = reinterpret_cast<uint64_t>(&scanner) / kPageBytes * kPageBytes;
    if (scanner->PrivatePages(here, here + kPageBytes))
      return Ok("PAGEMAP_SCAN", "pages are found by the kernel");
  }
  return Broken("PAGEMAP_SCAN", "the kernel cannot scan page tables for us",
                "boot Linux 6.7 or later; stock `criu dump` works on older ones");
}

Finding CheckWriteProtect() {
  const Fd fd(static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1)));
  constexpr uint64_t kFeatureWpAsync = 1 << 15;  // UFFD_FEATURE_WP_ASYNC, Linux 6.7
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kFeatureWpAsync;
  if (fd.valid() && ioctl(fd.get(), UFFDIO_API, &api) == 0) {
    return Ok("userfaultfd", "asynchronous write protection (for increments)");
  }
  return Degraded("userfaultfd", "no asynchronous write protection: every snapshot is a full one",
                  "boot Linux 6.7 or later with CONFIG_USERFAULTFD and CONFIG_PTE_MARKER_UFFD_WP");
}

Finding CheckPidfd() {
  if (OpenPidfd(getpid())) return Ok("pidfd", "processes are held by descriptor");
  return Broken("pidfd", "the kernel has no pidfd_open", "boot Linux 5.10 or later");
}

Finding CheckPidsCanBeChosen() {
  if (access("/proc/sys/kernel/ns_last_pid", W_OK) == 0)
    return Ok("pids", "a restart can choose process ids");
  return Broken("pids", "process ids cannot be chosen", "build the kernel with CONFIG_CHECKPOINT_RESTORE");
}

Finding CheckMapFiles() {
  if (access("/proc/self/map_files", R_OK | X_OK) == 0) return Ok("map_files", "mapped files can be opened");
  return Broken("map_files", "/proc/self/map_files cannot be read",
                "run as root in the initial user namespace");
}

bool InPath(const char* program) {
  for (const char* directory : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/", "/usr/local/sbin/"}) {
    if (access((std::string(directory) + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Finding CheckNetworkLock() {
  if (InPath("iptables-restore") || InPath("nft"))
    return Ok("network lock", "TCP connections can be held still");
  return Degraded("network lock",
                  "neither iptables nor nft is installed: jobs with TCP connections cannot be checkpointed",
                  "apt-get install iptables");
}

std::string Selected(const std::string& path) {
  const std::string text = ReadFile(path).value_or("");
  const size_t open = text.find('[');
  const size_t close = text.find(']', open);
  return close == std::string::npos ? std::string() : text.substr(open + 1, close - open - 1);
}

Finding CheckHugePages() {
  const std::string mode = Selected("/sys/kernel/mm/transparent_hugepage/enabled");
  if (mode == "always" || mode == "madvise") return Ok("huge pages", "transparent huge pages: " + mode);
  return Degraded(
      "huge pages",
      "transparent huge pages are off: freezes of large jobs are longer, and huge pages do not come back",
      "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

Finding CheckYama() {
  const std::string scope = ReadFile("/proc/sys/kernel/yama/ptrace_scope").value_or("0");
  constexpr char kNobody = '3';
  if (scope.front() != kNobody) return Ok("ptrace", "allowed for root");
  return Broken("ptrace", "kernel.yama.ptrace_scope is 3: nobody may trace",
                "boot with a lower kernel.yama.ptrace_scope");
}

Finding CheckMemory() {
  const Result<uint64_t> available = MemoryAvailable();
  const std::optional<uint64_t> headroom = CgroupMemoryHeadroom(getpid());
  std::string what = available ? FormatBytes(*available) + " available" : "amount unknown";
  if (headroom) what += fmt::format(", {} left in this cgroup", FormatBytes(*headroom));
  return Ok("memory", what);
}

Finding CheckOvercommit() {
  constexpr char kNever = '2';
  if (ReadFile("/proc/sys/vm/overcommit_memory").value_or("0").front() != kNever) {
    return Ok("overcommit", "twins of large jobs can be made");
  }
  return Degraded("overcommit", "vm.overcommit_memory is 2: large jobs are copied while frozen",
                  "sysctl vm.overcommit_memory=0");
}

}  // namespace

DoctorReport Doctor() {
  DoctorReport report;
  const Result<CriuBinary> criu = FindCriuBinary();
  if (criu) {
    report.criu_path = criu->path;
    report.criu_version = criu->version;
    report.findings.push_back(Ok("CRIU", fmt::format("{} ({})", criu->version, criu->path)));
  } else {
    report.findings.push_back(Broken("CRIU", criu.error().message, criu.error().hint));
  }
  report.findings.push_back(CheckPlugin());
  CheckCapabilities(report.findings);
  for (const auto check :
       {CheckPagemapScan, CheckWriteProtect, CheckPidfd, CheckPidsCanBeChosen, CheckMapFiles,
        CheckNetworkLock, CheckHugePages, CheckYama, CheckMemory, CheckOvercommit}) {
    report.findings.push_back(check());
  }
  return report;
}

}  // namespace holdfast
