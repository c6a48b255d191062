// SPDX-License-Identifier: MIT
#include "criu_plugin/channel.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace holdfast {
namespace {

int channel = -1;

union DescriptorMessage {
  char bytes[CMSG_SPACE(sizeof(int))];
  cmsghdr align;
};

bool Send(const PluginRequest& request, int descriptor) {
  PluginRequest copy = request;
  iovec io{&copy, sizeof copy};
  DescriptorMessage control{};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(channel, &message, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof copy);
}

bool Receive(PluginReply* reply, int* descriptor) {
  iovec io{reply, sizeof *reply};
  DescriptorMessage control{};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof control.bytes;
  ssize_t got = 0;
  do {
    got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); got >= 0 && header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
      memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    }
  }
  return got == static_cast<ssize_t>(sizeof *reply);
}

}  // namespace

bool ChannelConnect() {
  if (channel >= 0) return true;
  const char* path = getenv(kPluginSocketVariable);
  if (path == nullptr) return false;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof address.sun_path) return false;
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return false;
  }
  // CRIU numbers descriptors of its own from low to high; a high one stays out of its way.
  constexpr int kHighDescriptor = 500;
  channel = fcntl(fd, F_DUPFD_CLOEXEC, kHighDescriptor);
  if (channel < 0) {
    channel = fd;
  } else {
    close(fd);
  }
  return true;
}

bool ChannelConnected() {
  return channel >= 0;
}

PluginReply ChannelAsk(const PluginRequest& request, int descriptor, int* received) {
  PluginReply reply{};
  int got = -1;
  const bool ok = channel >= 0 && Send(request, descriptor) && Receive(&reply, &got);
  if (received != nullptr && ok) {
    *received = got;
  } else if (got >= 0) {
    close(got);
  }
  if (!ok) reply.kind = PluginReplyKind::kAbort;
  return reply;
}

}  // namespace holdfast
