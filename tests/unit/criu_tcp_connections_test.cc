#include "criu/tcp_connections.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "criu_test_support.h"

namespace holdfast {
namespace {

constexpr uint32_t kLoopback = 0x0100007f;  // as it lies in memory

// inet_sk_entry, images/sk-inet.proto
std::string InetSocket(uint32_t protocol, uint32_t local_port, uint32_t remote_port) {
  return Number(3, AF_INET) + Number(4, SOCK_STREAM) + Number(5, protocol) + Number(7, local_port) +
         Number(8, remote_port) + Number(11, kLoopback) + Number(12, kLoopback);
}

std::string FilesImage(const std::vector<std::string>& sockets) {
  std::vector<std::string> records;
  for (const std::string& socket : sockets) records.push_back(Number(1, 2) + Number(2, 7) + Bytes(4, socket));
  return Image(records);
}

TEST(TcpConnections, AreThoseWithTwoEnds) {
  const auto found = ParseTcpConnections(FilesImage({InetSocket(IPPROTO_TCP, 80, 0),      // listens
                                                     InetSocket(IPPROTO_UDP, 53, 4000),   // no TCP
                                                     InetSocket(IPPROTO_TCP, 80, 70000),  // no port
                                                     InetSocket(IPPROTO_TCP, 80, 40000)}));
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().family, AF_INET);
  EXPECT_EQ(found->front().local_port, 80);
  EXPECT_EQ(found->front().remote_port, 40000);
  EXPECT_EQ(found->front().local[0], kLoopback);
  EXPECT_EQ(found->front().remote[3], 0U);
}

TEST(TcpConnections, ACutOffImageIsRefused) {
  const std::string image = FilesImage({InetSocket(IPPROTO_TCP, 80, 40000)});
  EXPECT_FALSE(ParseTcpConnections(image.substr(0, image.size() - 3)));
}

}  // namespace
}  // namespace holdfast
