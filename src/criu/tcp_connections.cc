#include "criu/tcp_connections.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>

#include "criu/image_file.h"
#include "criu_images.pb.h"

namespace holdfast {
namespace {

// Of one or of four words, as CRIU keeps them.
std::array<uint32_t, 4> AddressOf(const google::protobuf::RepeatedField<uint32_t>& words) {
  std::array<uint32_t, 4> address{};
  std::copy_n(words.begin(), std::min<size_t>(address.size(), static_cast<size_t>(words.size())),
              address.begin());
  return address;
}

bool IsPort(uint32_t number) {
  return number > 0 && number <= std::numeric_limits<uint16_t>::max();
}

}  // namespace

Result<std::vector<TcpConnection>> ParseTcpConnections(std::string_view files_image) {
  const ImageRecords records = TRY(ImageRecords::Parse(files_image, "files.img"));
  std::vector<TcpConnection> found;
  for (size_t i = 0; i < records.size(); ++i) {
    criu_image::File file;
    TRY(records.Get(i, file));
    const criu_image::InetSocket& socket = file.inet();
    // One that listens has no other end.
    if (!file.has_inet() || socket.protocol() != IPPROTO_TCP || !IsPort(socket.local_port()) ||
        !IsPort(socket.remote_port())) {
      continue;
    }
    found.push_back({.family = static_cast<int>(socket.family()),
                     .local_port = static_cast<uint16_t>(socket.local_port()),
                     .remote_port = static_cast<uint16_t>(socket.remote_port()),
                     .local = AddressOf(socket.local()),
                     .remote = AddressOf(socket.remote())});
  }
  return found;
}

}  // namespace holdfast
