// What a job has asked of the kernel for stretches of its memory and CRIU 4.1 does not give back: to be empty
// in children (MADV_WIPEONFORK), to be guarded (MADV_GUARD_INSTALL).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/frozen_job.h"
#include "engine/restored_task.h"
#include "linux/proc.h"
#include "memory/drain.h"
#include "store/manifest.h"

namespace holdfast {

struct Advice {
  uint64_t start = 0;
  uint64_t bytes = 0;
  uint64_t advice = 0;  // MADV_...
};

// `corrected`: true flags of mappings, by pid in the job's namespace. What the task's twin lacks is looked
// for in the task itself, which runs on. Requires: the task's twin, if it has one, still lives.
Result<std::vector<Advice>> FindAdvice(const CapturedTask& task,
                                       const std::map<pid_t, std::vector<MappingDetail>>& corrected);

// Into the engine's facts of a snapshot that has `memory` of the process. Where there is content there was no
// guard: that one has come since, and would destroy it at a restart.
void RecordAdvice(const std::vector<Advice>& advice, const AddressSpace& memory,
                  std::map<std::string, std::string>& facts);

// What of a task's memory is to be empty in its children. `pid`: the job's.
Result<std::vector<PageRun>> WipedInChildren(const Manifest& manifest, pid_t pid);

// Gives it again. Returns what could not be given, a sentence each.
Result<std::vector<std::string>> GiveAdvice(const Manifest& manifest, const RestoredTask& task);

}  // namespace holdfast
