// An IPv4 or IPv6 address.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

namespace holdfast {

struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // in network order; an IPv4 address is in the first four

  auto operator<=>(const IpAddress&) const = default;
  bool IsAny() const;       // 0.0.0.0, ::
  bool IsLoopback() const;  // 127.0.0.0/8, ::1
  bool IsMulticast() const;
  std::string ToString() const;
};

// What a socket has as its address: an IPv4 address mapped into IPv6 (::ffff:a.b.c.d) is an IPv4 address.
IpAddress Unmapped(const IpAddress& address);

}  // namespace holdfast
