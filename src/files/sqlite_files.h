// SQLite keeps files beside a database that it replays into it when it opens it. A leftover from after the
// snapshot would damage the database that was put back.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace holdfast {

inline constexpr std::array<std::string_view, 3> kSqliteSuffixes = {"-journal", "-wal", "-shm"};

// From the first bytes of a file (sqlite.org/fileformat2.html, 1.3.1).
bool IsSqliteDatabase(std::span<const std::byte> head);
// The same of an open file.
bool IsSqliteDatabase(int fd);

}  // namespace holdfast
