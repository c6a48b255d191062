#include "engine/job_tree.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "linux/affinity.h"
#include "linux/pidfd.h"
#include "linux/proc.h"

namespace holdfast {
namespace {

// The pseudo-terminals of the tree whose master is outside of it.
std::vector<ExternalResource> FindTerminals(const std::vector<pid_t>& pids) {
  std::map<std::string, std::string> terminals;  // /dev/pts/N -> CRIU's name
  std::set<std::string> masters;                 // /dev/pts/N whose master is inside
  for (const pid_t pid : pids) {
    for (const OpenFile& file : ReadOpenFiles(pid).value_or(std::vector<OpenFile>{})) {
      if (file.target.starts_with("/dev/pts/") && S_ISCHR(file.mode)) {
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
  std::vector<ExternalResource> external;
  for (const auto& [path, name] : terminals) {
    if (!masters.contains(path)) external.push_back({name, ExternalResource::Kind::kTerminal});
  }
  return external;
}

// A pipe of which the tree holds one kind of end only.
struct PipeEnds {
  pid_t pid = 0;
  int fd = -1;  // one of them
  bool read = false;
  bool write = false;
};

// Whether anybody holds the other end. What is left in a pipe whose writers have all gone is the job's alone.
bool HasOtherEnd(const PipeEnds& ends) {
  const Result<Fd> pidfd = OpenPidfd(ends.pid);
  const Result<Fd> copy = pidfd ? CopyDescriptor(pidfd->get(), ends.fd) : Result<Fd>(pidfd.error());
  if (!copy) return true;
  pollfd state{copy->get(), 0, 0};
  return poll(&state, 1, 0) < 0 || (state.revents & (POLLHUP | POLLERR)) == 0;
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
    if (!one) continue;
    tree.resident_bytes += one->resident_bytes;
    Result<ProcessInfo> info = DescribeProcess(*one, one->namespace_pids.back());
    if (info) tree.described.emplace(pid, *std::move(info));
  }
  tree.cpus = TRY(OfferedCpus(root));
  tree.terminals = FindTerminals(tree.pids);
  return tree;
}

std::vector<ExternalResource> FindPipes(const std::vector<pid_t>& pids) {
  std::map<std::string, PipeEnds> pipes;
  for (const pid_t pid : pids) {
    for (const OpenFile& file : ReadOpenPipes(pid).value_or(std::vector<OpenFile>{})) {
      PipeEnds& ends = pipes[file.target];
      ends.pid = pid;
      ends.fd = file.fd;
      ends.write |= file.writable();
      ends.read |= (file.flags & O_ACCMODE) != O_WRONLY;
    }
  }
  std::vector<ExternalResource> external;
  for (const auto& [name, ends] : pipes) {
    if ((ends.read && ends.write) || !HasOtherEnd(ends)) continue;
    external.push_back(
        {name, ends.write ? ExternalResource::Kind::kPipeWriteEnd : ExternalResource::Kind::kPipeReadEnd});
  }
  return external;
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
  info.threads.assign(threads.begin(), threads.end());
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
