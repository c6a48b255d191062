// SPDX-License-Identifier: MIT
// Restartable sequences (rseq(2)): a thread inside of a critical section must start it anew when it was
// preempted. The kernel sees to that as long as the section is noted in the thread's rseq area; it forgets
// the note as soon as the thread runs anything else, as a tracer makes it do.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace holdfast {

// Where in a thread's rseq area the address of the section's descriptor is (struct rseq, linux/rseq.h).
constexpr uint64_t kRseqSectionOffset = 8;

// The address of the thread's rseq area; 0: none registered, or the kernel (before 5.13) does not tell.
// Requires: `thread` is in ptrace-stop and we are its tracer.
uint64_t FindRseqArea(pid_t thread);

// Sends each thread of `task` that stands inside of a critical section to the section's abort handler, as any
// preemption would. Whatever the tracer makes the thread run afterwards can then do no harm. Needed with CRIU
// 4.1.1: after one `criu dump -R` of its own, tests/programs/rseq_counters.c misses counts (Linux 6.18).
// Requires: all threads of `task` are in ptrace-stop and we are their tracer.
void AbortRseqSections(pid_t task);

}  // namespace holdfast
