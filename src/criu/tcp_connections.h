// The TCP connections that a tree had at its dump.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "linux/tcp_orphans.h"

namespace holdfast {

// files.img
Result<std::vector<TcpConnection>> ParseTcpConnections(std::string_view files_image);

}  // namespace holdfast
