#include "linux/loopback.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "base/fd.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

IpAddress Address(const char* text) {
  IpAddress address;
  address.v6 = strchr(text, ':') != nullptr;
  EXPECT_EQ(inet_pton(address.v6 ? AF_INET6 : AF_INET, text, address.bytes.data()), 1) << text;
  return address;
}

TEST(IpAddress, KnowsItsKind) {
  EXPECT_TRUE(Address("0.0.0.0").IsAny() && Address("::").IsAny());
  EXPECT_FALSE(Address("0.0.0.1").IsAny() || Address("::1").IsAny());
  EXPECT_TRUE(Address("127.0.0.1").IsLoopback() && Address("127.8.9.1").IsLoopback());
  EXPECT_TRUE(Address("::1").IsLoopback());
  EXPECT_FALSE(Address("::").IsLoopback() || Address("::2").IsLoopback() || Address("fe80::1").IsLoopback());
  EXPECT_FALSE(Address("128.0.0.1").IsLoopback());
  EXPECT_TRUE(Address("224.0.0.1").IsMulticast() && Address("239.1.2.3").IsMulticast());
  EXPECT_TRUE(Address("ff02::1").IsMulticast());
  EXPECT_FALSE(Address("223.0.0.1").IsMulticast() || Address("240.0.0.1").IsMulticast());
}

TEST(IpAddress, MappedIntoV6ItIsTheSame) {
  EXPECT_EQ(Unmapped(Address("::ffff:192.0.2.7")), Address("192.0.2.7"));
  EXPECT_EQ(Unmapped(Address("::192.0.2.7")).ToString(), "::192.0.2.7");
  EXPECT_EQ(Unmapped(Address("2001:db8::1")), Address("2001:db8::1"));
  EXPECT_EQ(Address("2001:db8::1").ToString(), "2001:db8::1");
}

int BindTo(const IpAddress& address) {
  const Fd fd(socket(address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  memcpy(&v4.sin_addr, address.bytes.data(), sizeof v4.sin_addr);
  memcpy(&v6.sin6_addr, address.bytes.data(), sizeof v6.sin6_addr);
  const int result = address.v6 ? bind(fd.get(), reinterpret_cast<sockaddr*>(&v6), sizeof v6)
                                : bind(fd.get(), reinterpret_cast<sockaddr*>(&v4), sizeof v4);
  return result == 0 ? 0 : errno;
}

TEST(BringUpLoopback, GivesTheAddressesThatAreAskedFor) {
  if (geteuid() != 0) GTEST_SKIP() << "a network namespace needs root";
  const std::vector<IpAddress> wanted = {Address("203.0.113.9"), Address("2001:db8::9"),
                                         Address("203.0.113.10"), Address("203.0.113.9")};
  const std::vector<IpAddress> there = {Address("127.0.0.1"), Address("::1")};
  const IpAddress missing = Address("203.0.113.11");
  EXPECT_NE(BindTo(wanted.front()), 0) << "the machine has it itself";
  const ChildProcess child([&] {
    if (unshare(CLONE_NEWNET) != 0) _exit(1);
    if (BringUpLoopback(wanted) != 0 || BindTo(missing) == 0) _exit(2);
    for (const IpAddress& address : wanted) {
      if (BindTo(address) != 0) _exit(3);
    }
    for (const IpAddress& address : there) {
      if (BindTo(address) != 0) _exit(4);
    }
  });
  EXPECT_TRUE(child.ready());
}

TEST(BringUpLoopback, SaysWhatWentWrong) {
  if (geteuid() != 0) GTEST_SKIP() << "a network namespace needs root";
  const std::vector<IpAddress> bad = {Address("ff02::1")};  // no device can have it
  const ChildProcess child([&] {
    if (unshare(CLONE_NEWNET) != 0 || BringUpLoopback(bad) == 0) _exit(1);
  });
  EXPECT_TRUE(child.ready());
}

}  // namespace
}  // namespace holdfast
