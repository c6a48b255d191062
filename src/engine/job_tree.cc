#include "engine/job_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "linux/affinity.h"
#include "linux/proc.h"

namespace holdfast {
namespace {

// The pseudo-terminals and pipes of the tree whose other end is outside of it.
void FindExternal(const std::vector<pid_t>& pids, std::vector<ExternalResource>& external) {
  struct PipeEnds {
    bool read = false;
    bool write = false;
  };
  std::map<std::string, PipeEnds> pipes;
  std::map<std::string, std::string> terminals;  // /dev/pts/N -> CRIU's name
  std::set<std::string> masters;                 // /dev/pts/N whose master is inside
  for (const pid_t pid : pids) {
    const Result<std::vector<OpenFile>> files = ReadOpenFiles(pid);
    if (!files) continue;
    for (const OpenFile& file : *files) {
      if (file.target.starts_with("pipe:[")) {
        PipeEnds& ends = pipes[file.target];
        ends.write |= file.writable();
        ends.read |= (file.flags & O_ACCMODE) != O_WRONLY;
      } else if (file.target.starts_with("/dev/pts/") && S_ISCHR(file.mode)) {
        // criu/tty.c, tty_external_id: both numbers in hexadecimal as stat gives them.
        terminals[file.target] = fmt::format("tty[{:x}:{:x}]", file.special_device, file.device);
      } else if (file.target == "/dev/ptmx" || file.target == "/dev/pts/ptmx") {
        const std::string info = ReadFile(fmt::format("/proc/{}/fdinfo/{}", pid, file.fd)).value_or("");
        const size_t at = info.find("tty-index:\t");
        if (at != std::string::npos)
          masters.insert("/dev/pts/" + std::to_string(std::atoi(info.c_str() + at + 11)));
      }
    }
  }
  for (const auto& [path, name] : terminals) {
    if (!masters.contains(path)) external.push_back({name, ExternalResource::Kind::kTerminal});
  }
  for (const auto& [name, ends] : pipes) {
    if (ends.read && ends.write) continue;
    external.push_back(
        {name, ends.write ? ExternalResource::Kind::kPipeWriteEnd : ExternalResource::Kind::kPipeReadEnd});
  }
}

}  // namespace

Result<JobTree> ExamineTree(pid_t root) {
  JobTree tree;
  tree.root = root;
  const ProcessStatus status = TRY(ReadStatus(root));
  tree.pids = TRY(ReadTree(root));
  tree.session_leader = status.session == root;
  tree.root_in_namespace = status.namespace_pids.empty() ? root : status.namespace_pids.back();
  tree.own_pid_namespace = TRY(ReadNamespace(root, "pid")) != TRY(ReadNamespace(getpid(), "pid"));
  for (const pid_t pid : tree.pids) {
    const Result<ProcessStatus> one = ReadStatus(pid);
    if (one) tree.resident_bytes += one->resident_bytes;
  }
  FindExternal(tree.pids, tree.external);
  return tree;
}

Result<ProcessInfo> DescribeProcess(const ProcessStatus& status, pid_t pid_in_namespace) {
  const pid_t pid = status.pid;
  ProcessInfo info;
  info.pid = pid_in_namespace;
  const Result<ProcessStatus> parent = ReadStatus(status.parent);
  info.parent = parent && !parent->namespace_pids.empty() ? parent->namespace_pids.back() : status.parent;
  info.session = status.session;
  info.uid = status.uid;
  info.name = status.name;
  info.resident_bytes = status.resident_bytes;
  info.command_line = ReadCommandLine(pid).value_or(std::vector<std::string>{});
  info.environment = ReadEnvironment(pid).value_or(std::vector<std::string>{});
  info.working_directory = ReadWorkingDirectory(pid).value_or("");
  const std::vector<pid_t> threads = ReadThreads(pid).value_or(std::vector<pid_t>{});
  for (const pid_t thread : threads) {
    const Result<ProcessStatus> own = ReadStatus(thread);
    const pid_t in_namespace = own ? own->namespace_pids.back() : thread;
    info.threads.push_back(in_namespace);
    const Result<std::optional<std::string>> cpus = ReadAffinity(thread);
    if (cpus && cpus->has_value()) info.bindings.push_back({in_namespace, **cpus});
  }
  const Result<std::vector<OpenFile>> files = ReadOpenFiles(pid);
  if (files) {
    for (const OpenFile& file : *files) info.files.push_back({file.fd, file.target});
  }
  return info;
}

namespace {

std::string ProcessorField(const std::string& text, const std::string& key) {
  const size_t at = text.find(key);
  if (at == std::string::npos) return {};
  const size_t colon = text.find(':', at);
  const size_t end = text.find('\n', at);
  if (colon == std::string::npos || colon + 2 > end) return {};
  return text.substr(colon + 2, end - colon - 2);
}

}  // namespace

Environment DescribeEnvironment() {
  Environment environment;
  utsname names{};
  uname(&names);
  environment.hostname = names.nodename;
  environment.kernel_release = names.release;
  environment.machine = names.machine;
  environment.holdfast_version = HOLDFAST_VERSION;
  const std::string processors = ReadFile("/proc/cpuinfo").value_or("");
  environment.cpu_model = ProcessorField(processors, "model name");
  std::istringstream flags(ProcessorField(processors, "\nflags"));
  for (std::string flag; flags >> flag;) environment.cpu_flags.push_back(flag);
  return environment;
}

}  // namespace holdfast
