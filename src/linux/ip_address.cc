#include "linux/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace holdfast {
namespace {

constexpr size_t kMappedAt = 12;  // where in ::ffff:a.b.c.d the IPv4 address is
constexpr uint8_t kLoopbackNet = 127;

}  // namespace

bool IpAddress::IsAny() const {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0; });
}

bool IpAddress::IsLoopback() const {
  if (!v6) return bytes[0] == kLoopbackNet;
  return bytes.back() == 1 && std::all_of(bytes.begin(), bytes.end() - 1, [](uint8_t b) { return b == 0; });
}

bool IpAddress::IsMulticast() const {
  constexpr uint8_t kV6 = 0xff;
  constexpr uint8_t kV4 = 0xe0;  // 224.0.0.0/4
  return v6 ? bytes[0] == kV6 : (bytes[0] & 0xf0) == kV4;
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

IpAddress Unmapped(const IpAddress& address) {
  static constexpr std::array<uint8_t, kMappedAt> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (!address.v6 || !std::equal(kPrefix.begin(), kPrefix.end(), address.bytes.begin())) return address;
  IpAddress plain;
  std::copy(address.bytes.begin() + kMappedAt, address.bytes.end(), plain.bytes.begin());
  return plain;
}

}  // namespace holdfast
