// The process tree to be checkpointed, as it was when last looked at. It may grow and shrink until it is
// frozen.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "linux/affinity.h"
#include "linux/proc.h"

namespace holdfast {

struct JobTree {
  pid_t root = 0;
  std::vector<pid_t> pids;         // parents first
  pid_t root_in_namespace = 0;     // the root's pid in its own pid namespace
  bool own_pid_namespace = false;  // which is not ours
  bool session_leader = false;     // the root leads its session
  uint64_t resident_bytes = 0;
  std::map<pid_t, ProcessInfo> described;   // by our pid; what takes too long to ask in a freeze
  CpuMask cpus;                             // that the job may use
  std::vector<ExternalResource> terminals;  // whose masters are outside: CRIU must be told before it dumps
};

Result<JobTree> ExamineTree(pid_t root);

// The pipes of which the tree holds one kind of end and somebody outside of it the other. Requires: all of
// `pids` stand still; a process that they fork meanwhile would look like an outsider.
std::vector<ExternalResource> FindPipes(const std::vector<pid_t>& pids);

// What a manifest says of the processes, read while they run or stand still.
Result<ProcessInfo> DescribeProcess(const ProcessStatus& status, pid_t pid_in_namespace);

// This machine, for the manifest; `criu_version` is filled in by the caller.
Environment DescribeEnvironment();

}  // namespace holdfast
