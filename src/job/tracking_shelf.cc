#include "job/tracking_shelf.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>
#include <utility>

namespace holdfast {

namespace {

constexpr const char* kSocketName = "tracking.socket";
constexpr char kTake = 'T';
constexpr char kLeave = 'L';
constexpr size_t kNoteBytesMax = 64 * 1024;
constexpr size_t kDescriptorsMax = 250;  // SCM_MAX_FD is 253, include/net/scm.h
constexpr int kPatienceSeconds = 1;

// The job's directory may have a longer path than fits into a socket's address.
Result<sockaddr_un> AddressIn(const Fd& directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", directory.get(), kSocketName);
  if (path.size() >= sizeof address.sun_path)
    return Fail(ErrorKind::kInternal, "a socket's path is too long");
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

Result<Fd> OpenDirectory(const std::filesystem::path& directory) {
  Fd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return FailErrno("cannot open " + directory.string());
  return fd;
}

bool Send(int connection, std::string text, const std::vector<Fd>& descriptors) {
  iovec io{text.data(), text.size()};
  std::vector<char> control(CMSG_SPACE(sizeof(int) * kDescriptorsMax));
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  const size_t count = std::min(descriptors.size(), kDescriptorsMax);
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::vector<int> numbers;
    for (size_t i = 0; i < count; ++i) numbers.push_back(descriptors[i].get());
    std::memcpy(CMSG_DATA(header), numbers.data(), sizeof(int) * count);
  }
  return ::sendmsg(connection, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

struct Message {
  std::string text;
  std::vector<Fd> descriptors;
};

Message ReceiveOne(int connection) {
  Message received;
  std::vector<char> text(kNoteBytesMax);
  std::vector<char> control(CMSG_SPACE(sizeof(int) * kDescriptorsMax));
  iovec io{text.data(), text.size()};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = ::recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
  if (bytes < 0) return received;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::vector<int> numbers(count);
    std::memcpy(numbers.data(), CMSG_DATA(header), count * sizeof(int));
    for (const int number : numbers) received.descriptors.emplace_back(number);
  }
  received.text.assign(text.data(), static_cast<size_t>(bytes));
  return received;
}

void LimitPatience(int socket) {
  const timeval patience{kPatienceSeconds, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

Result<Fd> Connect(const std::filesystem::path& job_directory) {
  const Fd directory = TRY(OpenDirectory(job_directory));
  const sockaddr_un address = TRY(AddressIn(directory));
  Fd connection(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection.valid()) return FailErrno("socket");
  LimitPatience(connection.get());
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return FailErrno("cannot reach the supervisor");
  }
  return connection;
}

// One line for the snapshot, one for each descriptor.
std::string NoteOf(const KeptTracking& tracking) {
  std::string note = tracking.base.ToString() + "\n";
  for (const KeptTracking::Task& task : tracking.tasks) {
    note += fmt::format("{} {}\n", task.pid, task.start_ticks);
  }
  return note;
}

// A task without a descriptor is not tracked any more by who gets the note.
KeptTracking ParseNote(const std::string& note, std::vector<Fd> descriptors) {
  KeptTracking tracking;
  std::istringstream lines(note);
  std::string base;
  std::getline(lines, base);
  const Result<SnapshotId> id = ParseSnapshotId(base);
  if (!id) return tracking;
  tracking.base = *id;
  for (size_t i = 0; i < kDescriptorsMax; ++i) {
    KeptTracking::Task task;
    if (!(lines >> task.pid >> task.start_ticks)) break;
    if (i < descriptors.size()) task.userfaultfd = std::move(descriptors[i]);
    tracking.tasks.push_back(std::move(task));
  }
  return tracking;
}

}  // namespace

Result<TrackingShelf> TrackingShelf::Open(const std::filesystem::path& job_directory) {
  TrackingShelf shelf;
  const Fd directory = TRY(OpenDirectory(job_directory));
  const sockaddr_un address = TRY(AddressIn(directory));
  const std::filesystem::path path = job_directory / kSocketName;
  ::unlink(path.c_str());
  shelf.listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!shelf.listener_.valid()) return FailErrno("socket");
  // It gets its name with this mode.
  if (::fchmod(shelf.listener_.get(), S_IRUSR | S_IWUSR) != 0) return FailErrno("fchmod of a socket");
  if (::bind(shelf.listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(shelf.listener_.get(), 1) != 0) {
    return FailErrno("cannot listen on " + path.string());
  }
  return shelf;
}

void TrackingShelf::Serve() {
  const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) return;
  LimitPatience(connection.get());
  Message message = ReceiveOne(connection.get());
  if (message.text.empty()) return;
  if (message.text.front() == kLeave) {
    note_ = message.text.substr(1);
    descriptors_ = std::move(message.descriptors);
    left_at_ = std::chrono::steady_clock::now();
  } else if (message.text.front() == kTake) {
    Send(connection.get(), note_ + "\n", descriptors_);
    note_.clear();
    descriptors_.clear();
  }
}

KeptTracking TrackingShelf::Shows() const {
  return ParseNote(note_, {});
}

KeptTracking TakeFromShelf(const std::filesystem::path& job_directory) {
  const Result<Fd> connection = Connect(job_directory);
  if (!connection || !Send(connection->get(), std::string(1, kTake), {})) return {};
  Message message = ReceiveOne(connection->get());
  return ParseNote(message.text, std::move(message.descriptors));
}

void PutOnShelf(const std::filesystem::path& job_directory, KeptTracking tracking) {
  if (tracking.tasks.size() > kDescriptorsMax) tracking.tasks.resize(kDescriptorsMax);
  if (tracking.tasks.empty()) return;
  const Result<Fd> connection = Connect(job_directory);
  if (!connection) return;
  const std::string note = NoteOf(tracking);
  std::vector<Fd> descriptors;
  for (KeptTracking::Task& task : tracking.tasks) descriptors.push_back(std::move(task.userfaultfd));
  Send(connection->get(), std::string(1, kLeave) + note, descriptors);
}

}  // namespace holdfast
