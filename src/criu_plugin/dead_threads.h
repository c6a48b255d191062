// SPDX-License-Identifier: MIT
// Waiting for a process whose threads are killed while they stand still under us, or just before they do.
//
// The kernel tells of the end of a process's first thread only when the tracer has waited for all others
// (kernel/exit.c, delay_group_leader). CRIU 4.1 waits for the first one alone: when a process with several
// threads is killed in a dump, it waits for ever, and so does whoever waits for the process.
//
// When the first thread of a process that ends is gone already, it cannot be traced any more. CRIU takes it
// for a zombie and gives up when it finds more threads there ("Zombies with threads are not supported",
// criu/seize.c); but they are on their way out as well: the last of them gives back the memory.
#pragma once

#include <sys/types.h>

struct rusage;

namespace holdfast {

// wait4(2); but of a process that StopTree has stopped it collects the dead threads, too, every 100 ms that
// it waits. Uses SIGRTMAX and a timer from then on. Of one that it came too late for, it waits for the end of
// all threads, a second at most.
pid_t WaitPastDeadThreads(pid_t pid, int* status, int options, rusage* usage);

}  // namespace holdfast
