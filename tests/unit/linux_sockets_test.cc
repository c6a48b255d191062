#include "linux/sockets.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "linux/pidfd.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

struct SocketPair {
  Fd a;
  Fd b;
};
SocketPair MakePair(int type) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

uint64_t InodeOf(const Fd& fd) {
  struct stat status {};
  EXPECT_EQ(::fstat(fd.get(), &status), 0);
  return status.st_ino;
}

TEST(ReadSocketKind, TellsDomainTypeAndProtocolOfAnotherProcesssSocket) {
  const Fd tcp(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const SocketPair unix_sockets = MakePair(SOCK_DGRAM);
  const ChildProcess child;
  const Fd pidfd = OpenPidfd(child.pid()).value();
  const SocketKind kind = ReadSocketKind(pidfd, tcp.get()).value();
  EXPECT_EQ(kind.domain, AF_INET);
  EXPECT_EQ(kind.type, SOCK_STREAM);
  EXPECT_EQ(kind.protocol, IPPROTO_TCP);
  EXPECT_EQ(ReadSocketKind(pidfd, unix_sockets.a.get())->domain, AF_UNIX);
  EXPECT_EQ(ReadSocketKind(pidfd, unix_sockets.a.get())->type, SOCK_DGRAM);
}

TEST(ReadSocketKind, RefusesWhatIsNoSocket) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd reading(ends[0]);
  const Fd writing(ends[1]);
  const Fd pidfd = OpenPidfd(::getpid()).value();
  EXPECT_FALSE(ReadSocketKind(pidfd, reading.get()));
  EXPECT_FALSE(ReadSocketKind(pidfd, 99999));
}

TEST(ReadUnixSockets, ConnectedOnesNameEachOther) {
  const SocketPair stream = MakePair(SOCK_STREAM);
  const SocketPair datagram = MakePair(SOCK_DGRAM);
  const auto sockets = ReadUnixSockets(::getpid());
  if (!sockets && sockets.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << sockets.error().message;
  ASSERT_TRUE(sockets) << sockets.error().message;
  ASSERT_TRUE(sockets->contains(InodeOf(stream.a)));
  EXPECT_EQ(sockets->at(InodeOf(stream.a)).peer_inode, InodeOf(stream.b));
  EXPECT_EQ(sockets->at(InodeOf(stream.b)).peer_inode, InodeOf(stream.a));
  EXPECT_TRUE(sockets->at(InodeOf(stream.a)).stream);
  EXPECT_EQ(sockets->at(InodeOf(datagram.a)).peer_inode, InodeOf(datagram.b));
  EXPECT_FALSE(sockets->at(InodeOf(datagram.a)).stream);
}

TEST(ReadUnixSockets, WithoutAPeerThereIsNone) {
  const Fd alone(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  SocketPair left = MakePair(SOCK_STREAM);
  left.b.Reset();
  const auto sockets = ReadUnixSockets(::getpid());
  if (!sockets && sockets.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << sockets.error().message;
  ASSERT_TRUE(sockets) << sockets.error().message;
  EXPECT_EQ(sockets->at(InodeOf(alone)).peer_inode, 0U);
  EXPECT_EQ(sockets->at(InodeOf(left.a)).peer_inode, 0U);
}

TEST(ReadUnixSockets, OfTheNetworkThatTheProcessIsIn) {
  if (::geteuid() != 0) GTEST_SKIP() << "a network namespace needs root";
  const SocketPair ours = MakePair(SOCK_STREAM);
  SocketPair theirs;
  const ChildProcess child([&theirs] {
    int ends[2];
    if (::unshare(CLONE_NEWNET) != 0 || ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) ::_exit(1);
    theirs.a = Fd(ends[0]);
    theirs.b = Fd(ends[1]);
  });
  ASSERT_TRUE(child.ready());
  const auto there = ReadUnixSockets(child.pid());
  if (!there && there.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << there.error().message;
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(there->size(), 2U);
  EXPECT_FALSE(there->contains(InodeOf(ours.a)));
  EXPECT_TRUE(ReadUnixSockets(::getpid())->contains(InodeOf(ours.a)));  // we are where we were
}

TEST(ReadUnixSockets, MoreThanOneMessageHolds) {
  std::vector<SocketPair> pairs;
  for (int i = 0; i < 300; ++i) pairs.push_back(MakePair(SOCK_SEQPACKET));
  const auto sockets = ReadUnixSockets(::getpid());
  if (!sockets && sockets.error().kind == ErrorKind::kUnsupported) GTEST_SKIP() << sockets.error().message;
  ASSERT_TRUE(sockets) << sockets.error().message;
  for (const SocketPair& pair : pairs) {
    EXPECT_EQ(sockets->at(InodeOf(pair.a)).peer_inode, InodeOf(pair.b));
    EXPECT_TRUE(sockets->at(InodeOf(pair.a)).stream);
  }
}

}  // namespace
}  // namespace holdfast
