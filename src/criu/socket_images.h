// The sockets of a job, as CRIU has them in files.img.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/ip_address.h"

namespace holdfast {

struct InetSocket {
  size_t record = 0;  // which of the image
  int type = 0;       // SOCK_STREAM, ...
  int protocol = 0;   // IPPROTO_TCP, ...
  int state = 0;      // include/net/tcp_states.h, for all protocols: TCP_LISTEN, ...
  IpAddress local;    // IPv4 addresses that are mapped into IPv6: as IPv4 addresses
  IpAddress peer;
  uint16_t local_port = 0;  // 0: not bound
  uint16_t peer_port = 0;   // 0: not connected
};

struct SocketImages {
  std::vector<InetSocket> inet;
  std::vector<std::string> abstract_names;  // of Unix sockets, without the leading zero
};

Result<SocketImages> ParseSockets(std::string_view files_image);

// files.img in which the sockets of these records lead nowhere: as if a stream were new, or a datagram socket
// not connected.
Result<std::string> Disconnect(std::string_view files_image, const std::set<size_t>& records);

}  // namespace holdfast
