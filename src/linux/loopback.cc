#include "linux/loopback.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace holdfast {
namespace {

constexpr int kLoopbackIndex = 1;  // net/core/dev.c: the first device of each network namespace

struct Attribute {
  rtattr header;
  uint8_t address[16];
};

// Sends a request and waits for its acknowledgement. 0, or errno.
int Ask(int netlink, const void* request, size_t bytes) noexcept {
  if (send(netlink, request, bytes, 0) != static_cast<ssize_t>(bytes)) return errno;
  struct {
    nlmsghdr header;
    nlmsgerr error;
    char rest[512];
  } answer{};
  ssize_t got = -1;
  do {
    got = recv(netlink, &answer, sizeof answer, 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno;
  if (got < static_cast<ssize_t>(sizeof answer.header) || answer.header.nlmsg_type != NLMSG_ERROR)
    return EPROTO;
  return -answer.error.error;
}

int Raise(int netlink) noexcept {
  struct {
    nlmsghdr header;
    ifinfomsg link;
  } request{};
  request.header = {sizeof request, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 0, 0};
  request.link.ifi_index = kLoopbackIndex;
  request.link.ifi_flags = IFF_UP;
  request.link.ifi_change = IFF_UP;
  return Ask(netlink, &request, sizeof request);
}

int AddAddress(int netlink, const IpAddress& address) noexcept {
  struct {
    nlmsghdr header;
    ifaddrmsg about;
    Attribute local;
  } request{};
  const size_t address_bytes = address.v6 ? 16 : 4;
  const size_t bytes = NLMSG_LENGTH(sizeof request.about) + RTA_LENGTH(address_bytes);
  request.header = {static_cast<uint32_t>(bytes), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 0,
                    0};
  request.about.ifa_family = address.v6 ? AF_INET6 : AF_INET;
  request.about.ifa_prefixlen = static_cast<uint8_t>(address_bytes * 8);
  request.about.ifa_flags = IFA_F_PERMANENT | (address.v6 ? IFA_F_NODAD : 0);
  request.about.ifa_scope = RT_SCOPE_UNIVERSE;
  request.about.ifa_index = kLoopbackIndex;
  request.local.header = {static_cast<uint16_t>(RTA_LENGTH(address_bytes)), IFA_LOCAL};
  memcpy(request.local.address, address.bytes.data(), address_bytes);
  const int error = Ask(netlink, &request, bytes);
  return error == EEXIST ? 0 : error;
}

}  // namespace

int BringUpLoopback(const std::vector<IpAddress>& addresses) noexcept {
  const int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (netlink < 0) return errno;
  int error = Raise(netlink);
  for (const IpAddress& address : addresses) {
    if (error == 0) error = AddAddress(netlink, address);
  }
  close(netlink);
  return error;
}

}  // namespace holdfast
