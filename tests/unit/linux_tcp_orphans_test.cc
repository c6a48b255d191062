#include "linux/tcp_orphans.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace holdfast {
namespace {

sockaddr_in AddressOf(const Fd& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  EXPECT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  return address;
}

IpAddress IpAddressOf(const sockaddr_in& address) {
  IpAddress plain;
  std::memcpy(plain.bytes.data(), &address.sin_addr, sizeof address.sin_addr);
  return plain;
}

// On loopback; `here` has written until `there`, which does not read, took no more.
struct Connected {
  Connected() {
    const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    address = AddressOf(listener);
    there = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(there.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    here = Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const std::string data(1 << 16, 'x');
    while (::write(here.get(), data.data(), data.size()) > 0) {
    }
    EXPECT_EQ(errno, EAGAIN);
    const sockaddr_in local = AddressOf(here);
    const sockaddr_in remote = AddressOf(there);
    connection = {IpAddressOf(local), IpAddressOf(remote), ntohs(local.sin_port), ntohs(remote.sin_port)};
  }

  Fd here;
  Fd there;
  TcpConnection connection;
};

TEST(TcpOrphans, OneThatStillDeliversIsEnded) {
  Connected sockets;
  sockets.here.Reset();
  const TcpOrphans orphans = TcpOrphans::Open().value();
  const Result<bool> ended = orphans.End(sockets.connection);
  if (!ended && ended.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << ended.error().message;
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_TRUE(*ended);
  EXPECT_FALSE(orphans.End(sockets.connection).value());
  int error = 0;
  socklen_t length = sizeof error;
  EXPECT_EQ(::getsockopt(sockets.there.get(), SOL_SOCKET, SO_ERROR, &error, &length), 0);
  EXPECT_EQ(error, ECONNRESET);
}

TEST(TcpOrphans, WhatAProcessHasOpenIsLeftAlone) {
  const Connected sockets;
  const TcpOrphans orphans = TcpOrphans::Open().value();
  EXPECT_FALSE(orphans.End(sockets.connection).value());
  char byte = 0;
  EXPECT_EQ(::read(sockets.there.get(), &byte, 1), 1);
}

TEST(TcpOrphans, WhereThereIsNoneNothingIsDone) {
  const TcpOrphans orphans = TcpOrphans::Open().value();
  IpAddress loopback;
  loopback.bytes = {127, 0, 0, 1};
  EXPECT_FALSE(orphans.End({loopback, loopback, 1, 2}).value());
}

}  // namespace
}  // namespace holdfast
