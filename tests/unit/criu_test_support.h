// CRIU's images as a test makes them: protobuf's wire format written out by hand, so that the field numbers
// are checked against CRIU's and not against our own copy of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

inline std::string Varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
inline std::string Number(uint32_t field, uint64_t value) {
  return Varint(field << 3) + Varint(value);
}
inline std::string Bytes(uint32_t field, std::string_view content) {
  return Varint(field << 3 | 2) + Varint(content.size()) + std::string(content);
}
inline std::string Word(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
// An image: two words of magic and its records.
inline std::string Image(const std::vector<std::string>& records) {
  std::string bytes = Word(0x54564319) + Word(0x12345678);
  for (const std::string& record : records) bytes += Word(static_cast<uint32_t>(record.size())) + record;
  return bytes;
}

}  // namespace holdfast
