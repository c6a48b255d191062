// Paths as texts: nothing is looked at.
#pragma once

#include <string_view>

namespace holdfast {

// Whether `path` is `directory` or lies below it. Requires: both absolute and plain, without "." and "..".
inline bool IsWithin(std::string_view path, std::string_view directory) {
  return path == directory || directory == "/" ||
         (path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/');
}

}  // namespace holdfast
