// Sockets of other processes.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace holdfast {

struct SocketKind {
  int domain = 0;  // AF_UNIX, ...
  int type = 0;    // SOCK_STREAM, ...
  int protocol = 0;
};
// Of descriptor `fd` in the process that `pidfd` names; a copy is taken for the moment of the question.
Result<SocketKind> ReadSocketKind(const Fd& pidfd, int fd);

struct UnixSocket {
  uint64_t peer_inode = 0;  // 0: not connected, or the peer is gone
  bool stream = false;      // stream or seqpacket
  std::string path;         // that it is bound to, as the program gave it; empty: none, or an abstract name
};
// Every Unix socket of the network namespace that process `pid` is in, by its inode (NETLINK_SOCK_DIAG,
// linux/unix_diag.h).
Result<std::map<uint64_t, UnixSocket>> ReadUnixSockets(pid_t pid);

}  // namespace holdfast
