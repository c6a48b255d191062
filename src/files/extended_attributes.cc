#include "files/extended_attributes.h"

#include <fmt/format.h>
#include <sys/types.h>
#include <sys/xattr.h>

#include <cerrno>
#include <vector>

namespace holdfast {
namespace {

constexpr size_t kAttributeBytesMax = 65536;  // XATTR_SIZE_MAX, XATTR_LIST_MAX (linux/limits.h)

bool MeansNone(int error_number) {
  return error_number == ENOTSUP || error_number == ENODATA || error_number == ENOENT ||
         error_number == ENOTDIR || error_number == ESTALE;
}

}  // namespace

Result<ExtendedAttributes> ReadAttributes(const std::string& path, const std::string& shown) {
  thread_local std::vector<char> names(kAttributeBytesMax);
  thread_local std::vector<char> value(kAttributeBytesMax);
  ExtendedAttributes attributes;
  const ssize_t bytes = ::llistxattr(path.c_str(), names.data(), names.size());
  if (bytes < 0 && !MeansNone(errno)) return FailErrno("cannot list the attributes of " + shown);
  for (ssize_t at = 0; at < bytes;) {
    const std::string attribute(names.data() + at);
    at += static_cast<ssize_t>(attribute.size()) + 1;
    const ssize_t length = ::lgetxattr(path.c_str(), attribute.c_str(), value.data(), value.size());
    if (length < 0 && MeansNone(errno)) continue;
    if (length < 0) return FailErrno(fmt::format("cannot read the attribute {} of {}", attribute, shown));
    attributes[attribute].assign(value.data(), static_cast<size_t>(length));
  }
  return attributes;
}

}  // namespace holdfast
