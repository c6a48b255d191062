#include "linux/tcp_orphans.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace holdfast {
namespace {

constexpr uint16_t kDestroy = 21;  // SOCK_DESTROY, linux/sock_diag.h since 4.5

struct Question {
  nlmsghdr header;
  inet_diag_req_v2 request;
};

Question About(const TcpConnection& connection, uint16_t type, uint16_t flags) {
  Question question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = type;
  question.header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
  question.request.sdiag_family = connection.local.v6 ? AF_INET6 : AF_INET;
  question.request.sdiag_protocol = IPPROTO_TCP;
  question.request.idiag_states = ~0u;
  inet_diag_sockid& id = question.request.id;
  id.idiag_sport = htons(connection.local_port);
  id.idiag_dport = htons(connection.remote_port);
  std::memcpy(id.idiag_src, connection.local.bytes.data(), sizeof id.idiag_src);
  std::memcpy(id.idiag_dst, connection.remote.bytes.data(), sizeof id.idiag_dst);
  id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return question;
}

struct Reply {
  int error = 0;  // an errno, 0 also for an acknowledgement
  std::optional<inet_diag_msg> found;
};

Result<Reply> Ask(const Fd& netlink, const Question& question) {
  if (send(netlink.get(), &question, sizeof question, 0) != static_cast<ssize_t>(sizeof question)) {
    return FailErrno("cannot ask for TCP connections");
  }
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  ssize_t got = 0;
  do {
    got = recv(netlink.get(), buffer.data(), buffer.size(), 0);
  } while (got < 0 && errno == EINTR);
  const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
  if (got < 0 || !NLMSG_OK(header, static_cast<unsigned>(got))) {
    return FailErrno("cannot read about TCP connections");
  }
  const size_t bytes = header->nlmsg_len - NLMSG_HDRLEN;
  Reply reply;
  if (header->nlmsg_type == NLMSG_ERROR && bytes >= sizeof(nlmsgerr)) {
    nlmsgerr error{};
    std::memcpy(&error, NLMSG_DATA(header), sizeof error);
    reply.error = -error.error;
  } else if (bytes >= sizeof(inet_diag_msg)) {
    reply.found.emplace();
    std::memcpy(&*reply.found, NLMSG_DATA(header), sizeof *reply.found);
  }
  return reply;
}

}  // namespace

Result<TcpOrphans> TcpOrphans::Open() {
  Fd netlink(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink.valid()) return FailErrno("netlink socket");
  return TcpOrphans(std::move(netlink));
}

Result<bool> TcpOrphans::End(const TcpConnection& connection) const {
  const Reply reply = TRY(Ask(netlink_, About(connection, SOCK_DIAG_BY_FAMILY, 0)));
  // Without a connection the kernel finds whoever listens there, who has an inode as everybody who has it
  // open.
  if (!reply.found || reply.found->idiag_inode != 0) return false;
  Question end = About(connection, kDestroy, NLM_F_ACK);
  std::memcpy(end.request.id.idiag_cookie, reply.found->id.idiag_cookie, sizeof end.request.id.idiag_cookie);
  const int error = TRY(Ask(netlink_, end)).error;
  if (error == 0) return true;
  if (error == ENOENT) return false;  // it has just come to its end
  if (error == EOPNOTSUPP) return Fail(ErrorKind::kUnsupported, "this kernel ends no TCP connections");
  return FailErrno(error, "cannot end a TCP connection that nobody has open");
}

}  // namespace holdfast
