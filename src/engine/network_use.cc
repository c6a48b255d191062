#include "engine/network_use.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "criu/socket_images.h"
#include "engine/snapshot_images.h"
#include "linux/tcp_orphans.h"

namespace holdfast {
namespace {

bool IsConnection(const InetSocket& socket) {
  const bool stream = socket.type == SOCK_STREAM && socket.state != TCP_LISTEN && socket.state != TCP_CLOSE;
  return (stream || socket.type == SOCK_DGRAM) && socket.peer_port != 0;
}

// Whether what `socket` sends to its peer arrives at `other`.
bool Reaches(const InetSocket& socket, const InetSocket& other) {
  if (socket.protocol != other.protocol || socket.peer_port != other.local_port) return false;
  const bool back = other.peer_port == socket.local_port && other.peer == socket.local;
  if (socket.type == SOCK_STREAM) return back && other.local == socket.peer;
  const bool bound_there = other.local == socket.peer || other.local.IsAny();
  return bound_there && (other.peer_port == 0 || back);
}

// The other end has sent all that it will, and may be gone: what it sent is still to be read.
bool IsOneSided(const InetSocket& socket) {
  return socket.type == SOCK_STREAM &&
         (socket.state == TCP_CLOSE_WAIT || socket.state == TCP_LAST_ACK || socket.state == TCP_CLOSING);
}

// A connection both of whose ends the job has, or had.
bool IsInside(const InetSocket& socket, const std::vector<InetSocket>& all) {
  if (IsOneSided(socket) && (socket.peer.IsLoopback() || socket.peer == socket.local)) return true;
  return std::any_of(all.begin(), all.end(),
                     [&socket](const InetSocket& other) { return Reaches(socket, other); });
}

// Nobody else can be bound to it in the same network.
bool HoldsName(const InetSocket& socket) {
  if (socket.local_port == 0) return false;
  return socket.type == SOCK_DGRAM || (socket.type == SOCK_STREAM && !IsConnection(socket));
}

std::string NameOf(const InetSocket& socket) {
  const std::string address = socket.local.ToString();
  const std::string_view kind = socket.type == SOCK_DGRAM ? "udp" : "tcp";
  return fmt::format("{} {}:{}", kind, socket.local.v6 ? "[" + address + "]" : address, socket.local_port);
}

// Zeros and what no terminal should get are told as '?'.
std::string Printable(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return name;
}

Result<SocketImages> SocketsOf(const Manifest& manifest, const BlockReader& blocks) {
  return ParseSockets(TRY(ReadFilesImage(manifest, blocks)));
}

}  // namespace

Result<NetworkUse> ReadNetworkUse(const Store& store, const Manifest& manifest) {
  const std::unique_ptr<BlockReader> blocks = TRY(store.OpenBlocks(manifest));
  const SocketImages sockets = TRY(SocketsOf(manifest, *blocks));
  NetworkUse use;
  for (const InetSocket& socket : sockets.inet) {
    if (HoldsName(socket)) use.names.push_back(NameOf(socket));
    if (!IsConnection(socket)) continue;
    (IsInside(socket, sockets.inet) ? use.talks_to_itself : use.talks_to_others) = true;
  }
  for (const std::string& name : sockets.abstract_names) use.names.push_back("unix @" + Printable(name));
  std::sort(use.names.begin(), use.names.end());
  use.names.erase(std::unique(use.names.begin(), use.names.end()), use.names.end());
  return use;
}

Result<std::vector<IpAddress>> AddressesOf(const Manifest& manifest, const BlockReader& blocks) {
  std::set<IpAddress> addresses;
  for (const InetSocket& socket : TRY(SocketsOf(manifest, blocks)).inet) {
    if (socket.local_port == 0 || socket.local.IsAny() || socket.local.IsLoopback()) continue;
    if (!socket.local.IsMulticast()) addresses.insert(socket.local);
  }
  return std::vector<IpAddress>(addresses.begin(), addresses.end());
}

Result<void> EndLeftConnections(const Manifest& manifest, const BlockReader& blocks) {
  const TcpOrphans orphans = TRY(TcpOrphans::Open());
  for (const InetSocket& socket : TRY(SocketsOf(manifest, blocks)).inet) {
    if (socket.protocol != IPPROTO_TCP || socket.local_port == 0 || socket.peer_port == 0) continue;
    const Result<bool> ended = orphans.End({socket.local, socket.peer, socket.local_port, socket.peer_port});
    // Where the kernel cannot, there may be none all the same; if there is one, CRIU tells.
    if (!ended && ended.error().kind != ErrorKind::kUnsupported) return Error(ended.error());
  }
  return {};
}

Result<std::string> WithoutOutsideConnections(std::string files_image) {
  const SocketImages sockets = TRY(ParseSockets(files_image));
  std::set<size_t> outside;
  for (const InetSocket& socket : sockets.inet) {
    if (IsConnection(socket) && !IsInside(socket, sockets.inet)) outside.insert(socket.record);
  }
  if (outside.empty()) return files_image;
  return Disconnect(files_image, outside);
}

}  // namespace holdfast
