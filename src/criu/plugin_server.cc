#include "criu/plugin_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "linux/pidfd.h"

namespace holdfast {
namespace {

constexpr int kCallMillisecondsMax = 60'000;
constexpr size_t kControlBytes = CMSG_SPACE(sizeof(int));

}  // namespace

Result<PluginServer> PluginServer::Listen(const std::string& directory) {
  PluginServer server;
  server.path_ = directory + "/plugin.socket";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (server.path_.size() >= sizeof address.sun_path) {
    return Fail(ErrorKind::kUsage, fmt::format("the path {} is too long for a socket", server.path_))
        .WithHint("use a store with a shorter path");
  }
  server.path_.copy(address.sun_path, sizeof address.sun_path - 1);
  server.listener_ = Fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!server.listener_.valid()) return FailErrno("socket");
  if (bind(server.listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(server.listener_.get(), 1) != 0) {
    return FailErrno("cannot listen on " + server.path_);
  }
  return server;
}

PluginServer::~PluginServer() {
  if (listener_.valid()) unlink(path_.c_str());
}

Result<std::optional<PluginMessage>> PluginServer::Next(const Fd& criu, int milliseconds_max) {
  for (;;) {
    const int source = connection_.valid() ? connection_.get() : listener_.get();
    std::array<pollfd, 2> sources{{{source, POLLIN, 0}, {criu.get(), POLLIN, 0}}};
    const int ready = poll(sources.data(), sources.size(), milliseconds_max);
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return FailErrno("poll");
    if (ready == 0) return Fail(ErrorKind::kCriu, "CRIU did not answer in time");
    if ((sources[0].revents & POLLIN) != 0) {
      if (!connection_.valid()) {
        TRY(Accept());
        continue;
      }
      std::optional<PluginMessage> message = TRY(Receive());
      if (message.has_value()) return message;
      connection_.Reset();  // hung up; CRIU's end follows
      continue;
    }
    if (connection_.valid() && (sources[0].revents & (POLLHUP | POLLERR)) != 0) {
      connection_.Reset();
      continue;
    }
    if (sources[1].revents != 0) return std::optional<PluginMessage>();
  }
}

Result<void> PluginServer::Accept() {
  connection_ = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection_.valid()) return FailErrno("accept");
  return {};
}

Result<std::optional<PluginMessage>> PluginServer::Receive() {
  PluginMessage message;
  iovec io{&message.request, sizeof message.request};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = recvmsg(connection_.get(), &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got == 0) return std::optional<PluginMessage>();
  if (got != static_cast<ssize_t>(sizeof message.request)) return FailErrno("recvmsg from the CRIU plugin");
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
    message.pidfd.Reset(fd);
  }
  if (message.pidfd.valid()) message.pid = PidOfPidfd(message.pidfd.get()).value_or(0);
  return std::optional<PluginMessage>(std::move(message));
}

Result<void> PluginServer::Reply(PluginReplyKind kind, int descriptor, uint64_t argument) {
  PluginReply reply{};
  reply.kind = kind;
  reply.arguments[0] = argument;
  return Send(reply, descriptor);
}

Result<int64_t> PluginServer::Call(const Fd& criu, uint32_t number,
                                   const std::array<uint64_t, 3>& arguments) {
  PluginReply reply{};
  reply.kind = PluginReplyKind::kCall;
  reply.number = number;
  std::copy(arguments.begin(), arguments.end(), reply.arguments);
  TRY(Send(reply, -1));
  const std::optional<PluginMessage> message = TRY(Next(criu, kCallMillisecondsMax));
  if (!message || message->request.kind != PluginRequestKind::kCalled) {
    return Fail(ErrorKind::kCriu, "CRIU ended while a restored process was prepared");
  }
  return message->request.result;
}

Result<void> PluginServer::Send(PluginReply reply, int descriptor) {
  iovec io{&reply, sizeof reply};
  alignas(cmsghdr) std::array<char, kControlBytes> control{};
  msghdr header{};
  header.msg_iov = &io;
  header.msg_iovlen = 1;
  if (descriptor >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(connection_.get(), &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return FailErrno("cannot answer the CRIU plugin");
  return {};
}

}  // namespace holdfast
