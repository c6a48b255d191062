// On which CPUs a thread may run.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast {

// One bit for each CPU, as sched_getaffinity(2) gives them. Masks of different length may be compared.
using CpuMask = std::vector<unsigned long>;

// "0-3,8" as the kernel writes it. kCorrupt for anything else, or a CPU beyond limits::kCpusMax.
Result<CpuMask> ParseCpuList(std::string_view text);
std::string FormatCpuList(const CpuMask& mask);

// Whether every CPU of `part` is in `whole`.
bool Contains(const CpuMask& whole, const CpuMask& part);

// What a process could run on at most: its cpuset, or else the machine.
Result<CpuMask> OfferedCpus(pid_t pid);

// What a thread is bound to. One system call: for use while a job is frozen.
Result<CpuMask> ReadAffinity(pid_t thread);

// kUnsupported when the thread may run on none of these CPUs here.
Result<void> SetAffinity(pid_t thread, const CpuMask& mask);

}  // namespace holdfast
