// Which process tree a checkpoint is about: a job by its name, or any tree by a pid.
#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "job/job_book.h"
#include "oci/container.h"

namespace holdfast {

// Errors: kNotFound (no such process, or it has ended), kUsage (it is us, or runs us), kUnsupported (a kernel
// thread, inside another pid namespace).
Result<void> ValidateTargetPid(pid_t pid);

// A job that lives; supervised or not.
Result<JobRecord> FindJob(const JobBook& book, const std::string& name);

// A record for the tree that `pid` is the root of. When it is a known job's: that job's. `name` may be empty.
Result<JobRecord> FindTree(const JobBook& book, pid_t pid, const std::string& name);

// A record for a container. When it is a known job's: that job's. `name` may be empty.
Result<JobRecord> FindContainerJob(const JobBook& book, const Container& container, const std::string& name);

// The container that a job is, which runs. kNotFound: its runtime does not know it any more, or has another
// one of that ID.
Result<Container> ContainerOfJob(const JobRecord& record);

// The one process of this name, as `ps -e` shows it or as its program's file is called, that is no thread of
// the kernel, in no container, not us, and not a descendant of another such process. kNotFound; kExists:
// there are several, which are listed.
Result<pid_t> FindByName(const std::string& process_name);

// Only root may: everybody else gets kPermission. `what`: "checkpointing".
Result<void> RequireRoot(const std::string& what);

}  // namespace holdfast
