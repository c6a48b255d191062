#include "linux/sockets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "linux/pidfd.h"
#include "linux/proc.h"

namespace holdfast {

Result<SocketKind> ReadSocketKind(const Fd& pidfd, int fd) {
  const Fd copy = TRY(CopyDescriptor(pidfd.get(), fd));
  SocketKind kind;
  socklen_t length = sizeof(int);
  if (getsockopt(copy.get(), SOL_SOCKET, SO_DOMAIN, &kind.domain, &length) != 0 ||
      getsockopt(copy.get(), SOL_SOCKET, SO_TYPE, &kind.type, &length) != 0 ||
      getsockopt(copy.get(), SOL_SOCKET, SO_PROTOCOL, &kind.protocol, &length) != 0) {
    return FailErrno("getsockopt");
  }
  return kind;
}

namespace {

// A socket stays in the network namespace that it was made in: it is made by a thread that enters it, and
// ends.
Result<Fd> OpenSocketDiagnosis(pid_t pid) {
  const bool elsewhere = TRY(ReadNamespace(pid, "net")) != TRY(ReadNamespace(getpid(), "net"));
  Fd other_namespace;
  if (elsewhere) {
    other_namespace = Fd(open(fmt::format("/proc/{}/ns/net", pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!other_namespace.valid()) return FailErrno("cannot open the network namespace of the job");
  }
  Fd netlink;
  int error = 0;
  const auto make = [&] {
    if (!elsewhere || setns(other_namespace.get(), CLONE_NEWNET) == 0)
      netlink = Fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    error = errno;
  };
  if (elsewhere) {
    std::thread(make).join();
  } else {
    make();
  }
  if (!netlink.valid()) return FailErrno(error, "netlink socket");
  return netlink;
}

Result<void> AskForUnixSockets(const Fd& netlink) {
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } message{};
  message.header.nlmsg_len = sizeof message;
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = AF_UNIX;
  message.request.udiag_states = ~0u;
  message.request.udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_NAME;
  if (send(netlink.get(), &message, sizeof message, 0) != static_cast<ssize_t>(sizeof message)) {
    return FailErrno("cannot ask for Unix sockets");
  }
  return {};
}

void AddSocket(const nlmsghdr* header, std::map<uint64_t, UnixSocket>& sockets) {
  const auto* message = static_cast<const unix_diag_msg*>(NLMSG_DATA(header));
  UnixSocket found;
  found.stream = message->udiag_type != SOCK_DGRAM;
  auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
  const auto* attribute = reinterpret_cast<const rtattr*>(message + 1);
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    const auto* data = static_cast<const char*>(RTA_DATA(attribute));
    if (attribute->rta_type == UNIX_DIAG_PEER) {
      uint32_t inode = 0;
      std::memcpy(&inode, data, sizeof inode);
      found.peer_inode = inode;
    } else if (attribute->rta_type == UNIX_DIAG_NAME && RTA_PAYLOAD(attribute) > 0 && data[0] != 0) {
      found.path.assign(data, strnlen(data, RTA_PAYLOAD(attribute)));
    }
  }
  sockets[message->udiag_ino] = std::move(found);
}

}  // namespace

Result<std::map<uint64_t, UnixSocket>> ReadUnixSockets(pid_t pid) {
  const Fd netlink = TRY(OpenSocketDiagnosis(pid));
  TRY(AskForUnixSockets(netlink));
  std::map<uint64_t, UnixSocket> sockets;
  alignas(nlmsghdr) std::array<char, 64 * 1024> buffer{};
  for (;;) {
    const ssize_t got = recv(netlink.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return FailErrno("cannot read the list of Unix sockets");
    auto left = static_cast<unsigned>(got);
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return sockets;
      if (header->nlmsg_type == NLMSG_ERROR)
        return Fail(ErrorKind::kUnsupported, "the kernel lists no Unix sockets");
      AddSocket(header, sockets);
    }
  }
}

}  // namespace holdfast
