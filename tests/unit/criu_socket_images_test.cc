#include "criu/socket_images.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "criu_test_support.h"

namespace holdfast {
namespace {

std::string Words(uint32_t field, const char* text) {
  uint32_t words[4] = {};
  const bool v6 = std::string_view(text).find(':') != std::string_view::npos;
  EXPECT_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, text, words), 1) << text;
  std::string bytes;
  for (size_t i = 0; i < (v6 ? 4U : 1U); ++i) bytes += Number(field, words[i]);
  return bytes;
}

// images/sk-inet.proto and images/fdinfo.proto of CRIU 4.1.
std::string Inet(int family, int type, int protocol, int state, uint16_t port, uint16_t peer_port,
                 const char* address, const char* peer) {
  const std::string socket =
      Number(1, 77) + Number(2, 4711) + Number(3, static_cast<uint64_t>(family)) +
      Number(4, static_cast<uint64_t>(type)) + Number(5, static_cast<uint64_t>(protocol)) +
      Number(6, static_cast<uint64_t>(state)) + Number(7, port) + Number(8, peer_port) + Number(9, 02) +
      Number(10, 5) + Words(11, address) + Words(12, peer) + Bytes(13, Number(1, 3));
  return Number(1, 4) + Number(2, 77) + Bytes(4, socket);
}
std::string Unix(std::string_view name) {
  return Number(1, 5) + Number(2, 78) + Bytes(16, Number(1, 78) + Bytes(11, name));
}
std::string Regular() {
  return Number(1, 1) + Number(2, 79) + Bytes(3, Number(1, 79) + Bytes(6, "/a/file"));
}

TEST(ParseSockets, TellsThemFromOtherFiles) {
  using std::string_literals::operator""s;
  const std::string image =
      Image({Regular(), Inet(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_LISTEN, 8888, 0, "127.0.0.1", "0.0.0.0"),
             Unix("/run/a.sock"), Unix(""), Unix("\0name\0more"s),
             Inet(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, TCP_ESTABLISHED, 53, 54, "2001:db8::1", "::1"),
             Inet(AF_INET6, SOCK_STREAM, IPPROTO_TCP, TCP_ESTABLISHED, 1, 2, "::ffff:192.0.2.1",
                  "::ffff:10.0.0.1")});
  const Result<SocketImages> sockets = ParseSockets(image);
  ASSERT_TRUE(sockets) << sockets.error().message;
  EXPECT_EQ(sockets->abstract_names, std::vector<std::string>{"name\0more"s});
  ASSERT_EQ(sockets->inet.size(), 3U);
  const InetSocket& listener = sockets->inet[0];
  EXPECT_EQ(listener.record, 1U);
  EXPECT_EQ(listener.type, SOCK_STREAM);
  EXPECT_EQ(listener.protocol, IPPROTO_TCP);
  EXPECT_EQ(listener.state, TCP_LISTEN);
  EXPECT_EQ(listener.local.ToString(), "127.0.0.1");
  EXPECT_EQ(listener.local_port, 8888);
  EXPECT_EQ(listener.peer_port, 0);
  const InetSocket& datagram = sockets->inet[1];
  EXPECT_EQ(datagram.type, SOCK_DGRAM);
  EXPECT_EQ(datagram.local.ToString(), "2001:db8::1");
  EXPECT_EQ(datagram.peer.ToString(), "::1");
  EXPECT_EQ(datagram.peer_port, 54);
  EXPECT_EQ(sockets->inet[2].local.ToString(), "192.0.2.1");
  EXPECT_EQ(sockets->inet[2].peer.ToString(), "10.0.0.1");
}

TEST(ParseSockets, RefusesWhatCannotBe) {
  const std::string no_address = Number(1, 4) + Number(2, 1) + Bytes(4, Number(3, AF_INET6) + Number(11, 1));
  const std::string far_port =
      Number(1, 4) + Number(2, 1) +
      Bytes(4, Number(3, AF_INET) + Number(7, 65536) + Number(11, 1) + Number(12, 1));
  for (const std::string& record : {no_address, far_port}) {
    const Result<SocketImages> sockets = ParseSockets(Image({record}));
    ASSERT_FALSE(sockets);
    EXPECT_EQ(sockets.error().kind, ErrorKind::kCorrupt);
  }
}

TEST(Disconnect, LeavesTheOthersAndTheRestOfEachAsTheyAre) {
  const std::string regular = Regular();
  const std::string kept =
      Inet(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_ESTABLISHED, 5, 6, "127.0.0.1", "127.0.0.1");
  const std::string image =
      Image({regular, kept,
             Inet(AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_ESTABLISHED, 7, 8, "192.0.2.1", "192.0.2.2"),
             Inet(AF_INET, SOCK_DGRAM, IPPROTO_UDP, TCP_ESTABLISHED, 9, 10, "192.0.2.1", "192.0.2.2")});
  const Result<std::string> after = Disconnect(image, {2, 3});
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_TRUE(after->starts_with(Image({regular, kept})));
  const SocketImages sockets = ParseSockets(*after).value();
  ASSERT_EQ(sockets.inet.size(), 3U);
  const InetSocket& stream = sockets.inet[1];
  EXPECT_EQ(stream.state, TCP_CLOSE);
  EXPECT_EQ(stream.local_port, 0);
  EXPECT_EQ(stream.peer_port, 0);
  EXPECT_TRUE(stream.local.IsAny() && stream.peer.IsAny());
  const InetSocket& datagram = sockets.inet[2];
  EXPECT_EQ(datagram.state, TCP_CLOSE);
  EXPECT_EQ(datagram.local_port, 9);
  EXPECT_EQ(datagram.local.ToString(), "192.0.2.1");
  EXPECT_EQ(datagram.peer_port, 0);
  EXPECT_NE(after->find(Bytes(13, Number(1, 3))), std::string::npos);  // what we do not know
  EXPECT_EQ(Disconnect(image, {}).value(), image);
}

}  // namespace
}  // namespace holdfast
