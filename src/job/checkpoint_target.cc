#include "job/checkpoint_target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>
#include <vector>

#include "base/clock.h"
#include "job/job_name.h"
#include "linux/proc.h"
#include "store/manifest.h"

namespace holdfast {

namespace {

Result<void> RefuseOurAncestors(pid_t pid, const std::string& name) {
  for (pid_t ancestor = ::getpid(); ancestor > 0;) {
    if (ancestor == pid) {
      return Fail(ErrorKind::kUsage,
                  fmt::format("pid {} ({}) {}", pid, name,
                              pid == ::getpid() ? "is this very command" : "is what this command runs under"))
          .WithHint(
              "a tree that holds holdfast itself cannot stand still: checkpoint it from outside, for "
              "example from another terminal");
    }
    const Result<ProcessStatus> status = ReadStatus(ancestor);
    if (!status) break;  // gone meanwhile, or /proc hides it
    ancestor = status->parent;
  }
  return {};
}

Result<void> ValidateProcess(pid_t pid) {
  if (pid <= 0) return Fail(ErrorKind::kUsage, fmt::format("{} is not a process id", pid));
  const Result<ProcessStatus> status = ReadStatus(pid);
  if (!status && status.error().kind == ErrorKind::kNotFound) {
    return Fail(ErrorKind::kNotFound, fmt::format("there is no process with the pid {}", pid))
        .WithHint("'ps -ef' lists them; in a container the pids are its own");
  }
  if (!status) return status.error();
  if (status->zombie()) {
    return Fail(ErrorKind::kNotFound, fmt::format("pid {} ({}) has ended already", pid, status->name));
  }
  if (status->kernel_thread) {
    return Fail(ErrorKind::kUnsupported, fmt::format("pid {} ({}) is a kernel thread", pid, status->name))
        .WithHint("only programs can be checkpointed");
  }
  return RefuseOurAncestors(pid, status->name);
}

// A container's processes, or those of `resume --pid-mode new-ns`. Their first process can be a root; one
// in the middle would leave half of a namespace behind.
Result<void> RefuseInsideOtherNamespace(const ProcessStatus& status) {
  const Result<std::string> theirs = ReadNamespace(status.pid, "pid");
  const Result<std::string> ours = ReadNamespace(::getpid(), "pid");
  if (!theirs || !ours) return {};  // the preflight tells what cannot be read
  const bool first = !status.namespace_pids.empty() && status.namespace_pids.back() == 1;
  if (*theirs == *ours || first) return {};
  return Fail(ErrorKind::kUnsupported,
              fmt::format("pid {} ({}) is inside another pid namespace, and not its first "
                          "process",
                          status.pid, status.name))
      .WithHint(
          "checkpoint the namespace's first process (a container's pid 1), or run holdfast inside of it");
}

}  // namespace

Result<void> RequireRoot(const std::string& what) {
  if (::geteuid() == 0) return {};
  return Fail(ErrorKind::kPermission, what + " needs root: it reads and rebuilds other processes")
      .WithHint("use sudo, with --store (or HOLDFAST_STORE) naming this store");
}

Result<void> ValidateTargetPid(pid_t pid) {
  TRY(ValidateProcess(pid));
  return RefuseInsideOtherNamespace(TRY(ReadStatus(pid)));
}

Result<JobRecord> FindJob(const JobBook& book, const std::string& name) {
  JobRecord record = TRY(book.Load(name));
  const JobState state = book.StateOf(record);
  if (state == JobState::kRunning || state == JobState::kUnsupervised) return record;
  return Fail(ErrorKind::kNotFound,
              fmt::format("'{}' does not run: {}", name, DescribeEnd(state, book.EndingOf(record))))
      .WithHint("'holdfast resume " + name + "' restarts it from its newest snapshot");
}

namespace {

// The known job that this tree is, or a new record for it.
Result<JobRecord> RecordOf(const JobBook& book, pid_t pid, const std::string& name) {
  const ProcessIdentity identity = TRY(IdentifyProcess(pid));
  const JobList list = TRY(book.List());
  for (const JobRecord& record : list.jobs) {
    if (record.supervisor == identity) {
      return Fail(ErrorKind::kUsage,
                  fmt::format("pid {} is the supervisor of '{}', not the job", pid, record.name))
          .WithHint("holdfast checkpoint " + record.name);
    }
    if (record.job == identity && (name.empty() || name == record.name)) return record;
    if (record.name != name) continue;
    const JobState state = book.StateOf(record);
    if (state == JobState::kRunning || state == JobState::kUnsupervised) {
      return Fail(ErrorKind::kExists,
                  fmt::format("'{}' is another job, which runs as pid {}", name, record.job.pid))
          .WithHint("give this one another --name");
    }
  }
  JobRecord record;
  record.command = TRY(ReadCommandLine(pid));
  record.name =
      name.empty()
          ? TRY(FreeNameForCommand(record.command, [&](const std::string& taken) { return book.Has(taken); }))
          : name;
  TRY(ValidateLineageName(record.name));
  const Result<std::string> directory = ReadWorkingDirectory(pid);
  if (directory) record.working_directory = *directory;
  record.started_ms = WallClockMs();
  record.job = identity;
  record.merged_output = true;
  return record;
}

// The name of the program's file, empty when it cannot be told.
std::string ProgramOf(pid_t pid) {
  std::error_code error;
  return std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), error).filename().string();
}

}  // namespace

Result<JobRecord> FindTree(const JobBook& book, pid_t pid, const std::string& name) {
  TRY(ValidateTargetPid(pid));
  return RecordOf(book, pid, name);
}

Result<JobRecord> FindContainerJob(const JobBook& book, const Container& container, const std::string& name) {
  TRY(ValidateProcess(container.init_pid));
  const ProcessIdentity identity = TRY(IdentifyProcess(container.init_pid));
  const JobList list = TRY(book.List());
  const bool known = std::any_of(list.jobs.begin(), list.jobs.end(),
                                 [&](const JobRecord& record) { return record.job == identity; });
  JobRecord record = TRY(RecordOf(book, container.init_pid, name.empty() && !known ? container.id : name));
  record.container = {container.id, container.root};
  return record;
}

Result<Container> ContainerOfJob(const JobRecord& record) {
  Container container = TRY(FindContainer(record.container->id, record.container->root));
  if (container.init_pid == record.job.pid) return container;
  return Fail(ErrorKind::kNotFound, fmt::format("container {} in {} is another one than '{}' was",
                                                container.id, container.root, record.name))
      .WithHint("holdfast checkpoint --container " + container.id);
}

Result<pid_t> FindByName(const std::string& process_name) {
  std::set<pid_t> found;
  std::map<pid_t, ProcessStatus> all;
  for (const pid_t pid : TRY(ReadAllProcesses())) {
    const Result<ProcessStatus> status = ReadStatus(pid);
    if (!status || status->kernel_thread || status->zombie()) continue;
    if (status->namespace_pids.size() > 1) continue;  // in a container
    all[pid] = *status;
    const bool matches = status->name == process_name || ProgramOf(pid) == process_name;
    if (matches && pid != ::getpid() && RefuseOurAncestors(pid, status->name)) found.insert(pid);
  }
  const auto is_root = [&](pid_t pid) {
    for (auto at = all.find(all[pid].parent); at != all.end(); at = all.find(at->second.parent)) {
      if (found.contains(at->first)) return false;
    }
    return true;
  };
  std::vector<pid_t> roots;
  std::copy_if(found.begin(), found.end(), std::back_inserter(roots), is_root);
  if (roots.size() == 1) return roots.front();
  if (roots.empty()) {
    return Fail(ErrorKind::kNotFound, fmt::format("there is no process called {}", process_name))
        .WithHint("'ps -e' shows their names");
  }
  Error error =
      Fail(ErrorKind::kExists, fmt::format("there are {} processes called {}:", roots.size(), process_name));
  constexpr size_t kShownMax = 20;
  for (size_t i = 0; i < roots.size() && i < kShownMax; ++i) {
    const std::vector<std::string> command =
        ReadCommandLine(roots[i]).value_or(std::vector<std::string>{process_name});
    error.message += fmt::format("\n  {}  {}", roots[i], fmt::join(command, " "));
  }
  if (roots.size() > kShownMax) error.message += fmt::format("\n  ... and {} more", roots.size() - kShownMax);
  return std::move(error).WithHint("name one of them: --pid " + std::to_string(roots.front()));
}

}  // namespace holdfast
