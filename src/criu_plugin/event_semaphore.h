// SPDX-License-Identifier: MIT
// EFD_SEMAPHORE of an eventfd, which CRIU 4.1 neither dumps nor restores (criu/eventfd.c): from
// /proc/PID/fdinfo (Linux 6.5 and later) through the count in CRIU's image to eventfd(2).
#pragma once

namespace holdfast {

// `fd` of a file in /proc/PID/fdinfo. Where it tells of a semaphore: a descriptor with the same text but for
// the count, which is marked; `fd` is closed then. Else `fd` as it is. A count above 65535 has no room for
// the mark.
int MarkSemaphore(int fd);

// Whether `count` has been marked; the mark is taken off.
bool TakeSemaphoreMark(unsigned& count);

}  // namespace holdfast
