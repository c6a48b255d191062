#include "job/checkpoint_target.h"

#include <fmt/format.h>
#include <unistd.h>

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
  TRY(RefuseOurAncestors(pid, status->name));
  return RefuseInsideOtherNamespace(*status);
}

Result<JobRecord> FindJob(const JobBook& book, const std::string& name) {
  JobRecord record = TRY(book.Load(name));
  const JobState state = book.StateOf(record);
  if (state == JobState::kRunning || state == JobState::kUnsupervised) return record;
  return Fail(ErrorKind::kNotFound,
              fmt::format("'{}' does not run: {}", name, DescribeEnd(state, book.EndingOf(record))))
      .WithHint("'holdfast resume " + name + "' restarts it from its newest snapshot");
}

Result<JobRecord> FindTree(const JobBook& book, pid_t pid, const std::string& name) {
  TRY(ValidateTargetPid(pid));
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

}  // namespace holdfast
