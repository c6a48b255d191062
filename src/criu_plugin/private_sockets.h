// SPDX-License-Identifier: MIT
// Unix sockets of a restarted job that others run beside: one that is bound to a path gets a file of its own,
// below a directory of the job's, which is mounted over the path in the job's mount namespace. CRIU 4.1 would
// remove the file that is there, which is another job's (criu/sk-unix.c, unlink_sk and bind_unix_sk).
#pragma once

#include <sys/socket.h>

namespace holdfast {

// The directory, from the environment; null: CRIU restarts no such job.
const char* PrivateFilesDirectory();

// bind(2) of `fd`, whatever it is, as libc does it.
using BindFunction = int (*)(int fd, const sockaddr* address, socklen_t length);
int BindPrivately(const char* directory, int fd, const sockaddr* address, socklen_t length,
                  BindFunction bind);

// Removes `path` as CRIU asks for it: what BindPrivately has put there, and what is no socket; no other's
// socket, which is passed over.
using UnlinkFunction = int (*)(const char* path);
int UnlinkPrivately(const char* directory, const char* path, UnlinkFunction unlink);

}  // namespace holdfast
