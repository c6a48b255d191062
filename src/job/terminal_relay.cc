#include "job/terminal_relay.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "job/attach_protocol.h"

namespace holdfast {

namespace {

constexpr size_t kPendingKeysBytesMax = 64 * 1024;     // typed, not yet taken by the job
constexpr size_t kClientBehindBytesMax = 1024 * 1024;  // a client that reads slower than this is let go
constexpr size_t kClientsMax = 8;
constexpr char kEndOfInput = 4;  // Ctrl-D

struct Client {
  Fd socket;
  std::string inbox;
  std::string outbox;
  bool gone = false;
};

void WriteFully(int fd, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written > 0) {
      data += written;
      bytes -= static_cast<size_t>(written);
    } else if (written < 0 && errno == EAGAIN) {
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&wait, 1, -1);
    } else if (written < 0 && errno != EINTR) {
      return;  // nobody reads it any more: the job goes on
    }
  }
}

class Relay : public JobOutput {
 public:
  Relay(Pty pty, RelayEnds ends) : pty_(std::move(pty)), ends_(std::move(ends)), raw_(ends_.keyboard) {
    // Reading a terminal that is not ours to change would stop us.
    if (ends_.keyboard >= 0 && ::isatty(ends_.keyboard) == 1 && !raw_.active()) ends_.keyboard = -1;
  }
  ~Relay() override { Finish(); }

  Result<void> Start() {
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!stop_.valid()) return FailErrno("cannot make an eventfd");
    listener_ = TRY(ListenForAttach(ends_.job_directory));
    thread_ = std::thread([this] { Run(); });
    return {};
  }

  void WindowChanged() override {
    if (const auto size = ReadWindowSize(ends_.screen)) SetWindowSize(pty_.master.get(), *size);
  }

  void Finish() override {
    const uint64_t one = 1;
    if (!thread_.joinable()) return;
    if (::write(stop_.get(), &one, sizeof one) != sizeof one) std::terminate();
    thread_.join();
  }

 private:
  // Order of the poll set: stop, master, keyboard, listener, then the clients.
  void Run() {
    for (;;) {
      std::vector<pollfd> wait = PollSet();
      if (::poll(wait.data(), wait.size(), -1) < 0 && errno != EINTR) return;
      if (wait[1].revents != 0) CopyOutput();
      if (wait[0].revents != 0) break;
      if (wait[2].revents != 0) ReadKeyboard();
      if (wait[3].revents != 0) Accept();
      size_t i = 4;
      for (Client& client : clients_) {
        if (i < wait.size() && wait[i].revents != 0) Serve(client, wait[i].revents);
        ++i;
      }
      clients_.remove_if([](const Client& client) { return client.gone; });
      PassKeys();
    }
    CopyOutput();  // the pty is non-blocking: all that the job wrote, and no waiting for more
    for (Client& client : clients_)
      WriteFully(client.socket.get(), client.outbox.data(), client.outbox.size());
  }

  std::vector<pollfd> PollSet() const {
    const bool room = keys_.size() < kPendingKeysBytesMax;
    std::vector<pollfd> wait;
    auto add = [&](int fd, int events) {
      wait.push_back({.fd = fd, .events = static_cast<short>(events), .revents = 0});
    };
    add(stop_.get(), POLLIN);
    add(pty_.master.get(), keys_.empty() ? POLLIN : POLLIN | POLLOUT);
    add(room ? ends_.keyboard : -1, POLLIN);
    add(clients_.size() < kClientsMax ? listener_.get() : -1, POLLIN);
    for (const Client& client : clients_) {
      add(client.socket.get(), (room ? POLLIN : 0) | (client.outbox.empty() ? 0 : POLLOUT));
    }
    return wait;
  }

  void CopyOutput() {
    for (;;) {
      const ssize_t bytes = ::read(pty_.master.get(), buffer_.data(), buffer_.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) return;
      const auto length = static_cast<size_t>(bytes);
      WriteFully(ends_.log.get(), buffer_.data(), length);
      if (ends_.screen >= 0) WriteFully(ends_.screen, buffer_.data(), length);
      for (Client& client : clients_) {
        client.outbox.append(buffer_.data(), length);
        Flush(client);
      }
    }
  }

  void ReadKeyboard() {
    const ssize_t bytes = ::read(ends_.keyboard, buffer_.data(), buffer_.size());
    if (bytes > 0) {
      keys_.append(buffer_.data(), static_cast<size_t>(bytes));
    } else if (bytes == 0 || (errno != EINTR && errno != EAGAIN)) {
      if (!raw_.active()) keys_ += kEndOfInput;  // a pipe that ended; a terminal that hung up says SIGHUP
      ends_.keyboard = -1;
    }
  }

  void PassKeys() {
    while (!keys_.empty()) {
      const ssize_t written = ::write(pty_.master.get(), keys_.data(), keys_.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      keys_.erase(0, static_cast<size_t>(written));
    }
  }

  void Accept() {
    Client client;
    client.socket = Fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client.socket.valid()) clients_.push_back(std::move(client));
  }

  void Serve(Client& client, int events) {
    if ((events & POLLOUT) != 0) Flush(client);
    if ((events & (POLLIN | POLLHUP | POLLERR)) == 0) return;
    const ssize_t bytes = ::read(client.socket.get(), buffer_.data(), buffer_.size());
    if (bytes == 0 || (bytes < 0 && errno != EAGAIN && errno != EINTR)) client.gone = true;
    if (bytes <= 0) return;
    client.inbox.append(buffer_.data(), static_cast<size_t>(bytes));
    for (;;) {
      Result<std::optional<AttachFrame>> frame = TakeFrame(client.inbox);
      if (!frame) client.gone = true;
      if (!frame || !*frame) return;
      if ((*frame)->kind == AttachFrame::Kind::kKeys) keys_ += (*frame)->payload;
      if ((*frame)->kind == AttachFrame::Kind::kWindow) {
        SetWindowSize(pty_.master.get(), ParseWindow((*frame)->payload));
      }
    }
  }

  static void Flush(Client& client) {
    while (!client.outbox.empty()) {
      const ssize_t sent =
          ::send(client.socket.get(), client.outbox.data(), client.outbox.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno != EAGAIN) client.gone = true;
      if (sent <= 0) break;
      client.outbox.erase(0, static_cast<size_t>(sent));
    }
    if (client.outbox.size() > kClientBehindBytesMax) client.gone = true;
  }

  Pty pty_;
  RelayEnds ends_;
  RawTerminal raw_;
  Fd stop_;
  Fd listener_;
  std::string keys_;
  std::list<Client> clients_;
  std::array<char, 64 * 1024> buffer_{};
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<JobOutput>> RelayTerminal(Pty pty, RelayEnds ends) {
  auto relay = std::make_unique<Relay>(std::move(pty), std::move(ends));
  TRY(relay->Start());
  return std::unique_ptr<JobOutput>(std::move(relay));
}

}  // namespace holdfast
