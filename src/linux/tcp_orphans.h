// TCP connections that nobody has open any more and that the kernel still brings to an end: it delivers what
// their process had written before it died, for minutes where the other end does not read.
#pragma once

#include <cstdint>

#include "base/fd.h"
#include "base/result.h"
#include "linux/ip_address.h"

namespace holdfast {

// Of our network namespace, as one of its ends sees it.
struct TcpConnection {
  IpAddress local;
  IpAddress remote;
  uint16_t local_port = 0;
  uint16_t remote_port = 0;
};

// NETLINK_SOCK_DIAG, linux/inet_diag.h.
class TcpOrphans {
 public:
  static Result<TcpOrphans> Open();

  // Whether there was one, which is no more: what it had left to deliver is lost, and the other end is told
  // so by a reset. Leaves alone what a process has open. Errors: kUnsupported where the kernel ends no
  // connections (CONFIG_INET_DIAG_DESTROY). Needs CAP_NET_ADMIN.
  Result<bool> End(const TcpConnection& connection) const;

 private:
  explicit TcpOrphans(Fd netlink) : netlink_(std::move(netlink)) {}

  Fd netlink_;
};

}  // namespace holdfast
