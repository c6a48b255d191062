#include "job/attach_protocol.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace holdfast {

namespace {

constexpr size_t kHeaderBytes = 3;
constexpr const char* kSocketName = "attach.sock";

std::string Frame(AttachFrame::Kind kind, std::string_view payload) {
  std::string frame;
  frame += static_cast<char>(kind);
  frame += static_cast<char>(payload.size() >> 8);
  frame += static_cast<char>(payload.size() & 0xff);
  frame += payload;
  return frame;
}

size_t Byte(char c) {
  return static_cast<unsigned char>(c);
}

// The socket's path through a descriptor of its directory: always short enough.
Result<sockaddr_un> AddressThrough(int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const int length =
      std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, kSocketName);
  if (length < 0 || static_cast<size_t>(length) >= sizeof address.sun_path) {
    return Fail(ErrorKind::kInternal, "the path of a socket does not fit");
  }
  return address;
}

struct DirectoryAndSocket {
  Fd directory;
  Fd socket;
  sockaddr_un address{};
};

Result<DirectoryAndSocket> Prepare(const std::filesystem::path& job_directory) {
  DirectoryAndSocket ends;
  ends.directory = Fd(::open(job_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!ends.directory.valid()) return FailErrno("cannot open " + job_directory.string());
  ends.socket = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!ends.socket.valid()) return FailErrno("cannot make a socket");
  ends.address = TRY(AddressThrough(ends.directory.get()));
  return ends;
}

}  // namespace

std::string FormatKeys(std::string_view keys) {
  std::string frames;
  while (!keys.empty()) {
    const std::string_view part = keys.substr(0, kAttachPayloadBytesMax);
    frames += Frame(AttachFrame::Kind::kKeys, part);
    keys.remove_prefix(part.size());
  }
  return frames;
}

std::string FormatWindow(WindowSize size) {
  const std::string payload = {static_cast<char>(size.rows >> 8), static_cast<char>(size.rows & 0xff),
                               static_cast<char>(size.columns >> 8), static_cast<char>(size.columns & 0xff)};
  return Frame(AttachFrame::Kind::kWindow, payload);
}

WindowSize ParseWindow(std::string_view payload) {
  if (payload.size() != 4) return {};
  return {.rows = static_cast<unsigned short>(Byte(payload[0]) << 8 | Byte(payload[1])),
          .columns = static_cast<unsigned short>(Byte(payload[2]) << 8 | Byte(payload[3]))};
}

Result<std::optional<AttachFrame>> TakeFrame(std::string& inbox) {
  if (inbox.size() < kHeaderBytes) return std::optional<AttachFrame>();
  const size_t length = Byte(inbox[1]) << 8 | Byte(inbox[2]);
  const bool known = inbox[0] == 'k' || inbox[0] == 'w';
  if (!known || length > kAttachPayloadBytesMax) {
    return Fail(ErrorKind::kCorrupt, "someone speaks another protocol on the attach socket");
  }
  if (inbox.size() < kHeaderBytes + length) return std::optional<AttachFrame>();
  AttachFrame frame{.kind = static_cast<AttachFrame::Kind>(inbox[0]),
                    .payload = inbox.substr(kHeaderBytes, length)};
  inbox.erase(0, kHeaderBytes + length);
  return std::optional<AttachFrame>(std::move(frame));
}

Result<Fd> ListenForAttach(const std::filesystem::path& job_directory) {
  DirectoryAndSocket ends = TRY(Prepare(job_directory));
  ::unlinkat(ends.directory.get(), kSocketName, 0);  // of an earlier supervisor
  ::fchmod(ends.socket.get(), 0600);                 // what bind() gives the file
  const auto* address = reinterpret_cast<const sockaddr*>(&ends.address);
  if (::bind(ends.socket.get(), address, sizeof ends.address) != 0 || ::listen(ends.socket.get(), 8) != 0) {
    return FailErrno("cannot listen in " + job_directory.string());
  }
  return std::move(ends.socket);
}

Result<Fd> ConnectToAttach(const std::filesystem::path& job_directory) {
  DirectoryAndSocket ends = TRY(Prepare(job_directory));
  const auto* address = reinterpret_cast<const sockaddr*>(&ends.address);
  if (::connect(ends.socket.get(), address, sizeof ends.address) != 0) {
    return FailErrno("cannot reach the job's supervisor");
  }
  return std::move(ends.socket);
}

}  // namespace holdfast
