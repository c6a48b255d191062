// SPDX-License-Identifier: MIT
// Waiting for a process whose threads were killed while they stood still under us.
//
// The kernel tells of the end of a process's first thread only when the tracer has waited for all others
// (kernel/exit.c, delay_group_leader). CRIU 4.1 waits for the first one alone: when a process with several
// threads is killed in a dump, it waits for ever, and so does whoever waits for the process.
#pragma once

#include <sys/types.h>

struct rusage;

namespace holdfast {

// wait4(2); but of a process that StopTree has stopped it collects the dead threads, too, every 100 ms that
// it waits. Uses SIGRTMAX and a timer from then on.
pid_t WaitPastDeadThreads(pid_t pid, int* status, int options, rusage* usage);

}  // namespace holdfast
