#include "criu/socket_images.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "criu/image_file.h"
#include "criu_images.pb.h"

namespace holdfast {
namespace {

using Words = google::protobuf::RepeatedField<uint32_t>;

// CRIU keeps the words as the kernel has them: in network order.
Result<IpAddress> AddressOf(bool v6, const Words& words) {
  IpAddress address;
  address.v6 = v6;
  const size_t bytes = v6 ? 16 : 4;
  if (static_cast<size_t>(words.size()) * sizeof(uint32_t) < bytes) {
    return Fail(ErrorKind::kCorrupt, "files.img: the address of a socket is cut off");
  }
  std::memcpy(address.bytes.data(), words.data(), bytes);
  return Unmapped(address);
}

Result<uint16_t> PortOf(uint32_t port) {
  if (port <= std::numeric_limits<uint16_t>::max()) return static_cast<uint16_t>(port);
  return Fail(ErrorKind::kCorrupt, "files.img: the port of a socket is out of range");
}

Result<InetSocket> SocketOf(size_t record, const criu_image::InetSocket& image) {
  const bool v6 = image.family() == AF_INET6;
  InetSocket socket;
  socket.record = record;
  socket.type = static_cast<int>(image.type());
  socket.protocol = static_cast<int>(image.protocol());
  socket.state = static_cast<int>(image.state());
  socket.local = TRY(AddressOf(v6, image.local_address()));
  socket.peer = TRY(AddressOf(v6, image.peer_address()));
  socket.local_port = TRY(PortOf(image.local_port()));
  socket.peer_port = TRY(PortOf(image.peer_port()));
  return socket;
}

}  // namespace

Result<SocketImages> ParseSockets(std::string_view files_image) {
  const ImageRecords records = TRY(ImageRecords::Parse(files_image, "files.img"));
  SocketImages sockets;
  for (size_t i = 0; i < records.size(); ++i) {
    criu_image::File file;
    TRY(records.Get(i, file));
    if (file.has_inet_socket()) sockets.inet.push_back(TRY(SocketOf(i, file.inet_socket())));
    const std::string& name = file.unix_socket().name();
    if (!name.empty() && name.front() == 0) sockets.abstract_names.push_back(name.substr(1));
  }
  return sockets;
}

Result<std::string> Disconnect(std::string_view files_image, const std::set<size_t>& records_to_disconnect) {
  ImageRecords records = TRY(ImageRecords::Parse(files_image, "files.img"));
  for (const size_t record : records_to_disconnect) {
    criu_image::File file;
    TRY(records.Get(record, file));
    criu_image::InetSocket& socket = *file.mutable_inet_socket();
    socket.set_state(TCP_CLOSE);
    socket.set_peer_port(0);
    std::fill(socket.mutable_peer_address()->begin(), socket.mutable_peer_address()->end(), 0U);
    if (socket.type() == SOCK_STREAM) {
      socket.set_local_port(0);
      std::fill(socket.mutable_local_address()->begin(), socket.mutable_local_address()->end(), 0U);
    }
    records.Set(record, file);
  }
  return records.Bytes();
}

}  // namespace holdfast
