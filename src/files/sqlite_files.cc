#include "files/sqlite_files.h"

#include <unistd.h>

#include <cstring>

namespace holdfast {

namespace {
constexpr std::string_view kMagic{"SQLite format 3\0", 16};
}  // namespace

bool IsSqliteDatabase(std::span<const std::byte> head) {
  return head.size() >= kMagic.size() && std::memcmp(head.data(), kMagic.data(), kMagic.size()) == 0;
}

bool IsSqliteDatabase(int fd) {
  std::array<std::byte, kMagic.size()> head{};
  const ssize_t got = ::pread(fd, head.data(), head.size(), 0);
  return got == static_cast<ssize_t>(head.size()) && IsSqliteDatabase(std::span<const std::byte>(head));
}

}  // namespace holdfast
