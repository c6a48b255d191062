// The conversation with the plugin inside CRIU. The test plays the plugin.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "criu/plugin_server.h"
#include "linux/pidfd.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

constexpr int kNoLimit = -1;

class Plugin {
 public:
  explicit Plugin(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }

  void Send(const void* bytes, size_t count, int descriptor = -1) const {
    iovec io{const_cast<void*>(bytes), count};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    EXPECT_EQ(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(count));
  }
  void Ask(PluginRequestKind kind, pid_t pid, int descriptor = -1) const {
    const PluginRequest request{kind, pid, 0, TwinPlacement::kOrphan, 0};
    Send(&request, sizeof request, descriptor);
  }
  // Nothing when the engine hung up.
  std::optional<PluginReplyKind> Reply(Fd* descriptor = nullptr) const {
    PluginReply reply{};
    iovec io{&reply, sizeof reply};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC) != sizeof reply) return std::nullopt;
    if (const cmsghdr* const header = CMSG_FIRSTHDR(&message); header != nullptr && descriptor != nullptr) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
      descriptor->Reset(fd);
    }
    return reply.kind;
  }

 private:
  Fd socket_;
};

class PluginServerTest : public ::testing::Test {
 protected:
  PluginServerTest() {
    std::string pattern = ::testing::TempDir() + "holdfast-server-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    Result<PluginServer> server = PluginServer::Listen(directory_);
    EXPECT_TRUE(server);
    if (server) server_ = std::make_unique<PluginServer>(*std::move(server));
    criu_end_ = OpenPidfd(criu_.pid()).value();
  }
  ~PluginServerTest() override {
    server_.reset();
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  Result<std::optional<PluginMessage>> Next(int milliseconds = kNoLimit) {
    return server_->Next(criu_end_, milliseconds);
  }

  PluginMessage NextMessage() {
    Result<std::optional<PluginMessage>> next = Next();
    if (!next || !next->has_value()) ADD_FAILURE() << "no message";
    return next ? (*std::move(next)).value_or(PluginMessage{}) : PluginMessage{};
  }

  std::filesystem::path directory_;
  std::unique_ptr<PluginServer> server_;
  ChildProcess criu_;  // any process: only its end matters
  Fd criu_end_;
};

TEST_F(PluginServerTest, ARequestNamesItsProcessByPidfd) {
  const Plugin plugin(server_->path());
  const ChildProcess task;
  plugin.Ask(PluginRequestKind::kTask, 17, OpenPidfd(task.pid())->get());
  const PluginMessage message = NextMessage();
  EXPECT_EQ(message.request.kind, PluginRequestKind::kTask);
  EXPECT_EQ(message.request.pid, 17);
  EXPECT_EQ(message.pid, task.pid());
  EXPECT_EQ(PidOfPidfd(message.pidfd.get()).value(), task.pid());
}

TEST_F(PluginServerTest, ARequestMayComeWithoutAProcess) {
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kSmaps, 17);
  const PluginMessage message = NextMessage();
  EXPECT_EQ(message.pid, 0);
  EXPECT_FALSE(message.pidfd.valid());
}

TEST_F(PluginServerTest, TheProcessOfARequestMayHaveEnded) {
  const Plugin plugin(server_->path());
  ChildProcess task;
  const Fd pidfd = OpenPidfd(task.pid()).value();
  task.KillAndCollect();
  plugin.Ask(PluginRequestKind::kTask, 17, pidfd.get());
  const PluginMessage message = NextMessage();
  EXPECT_EQ(message.pid, 0);
}

TEST_F(PluginServerTest, RequestsComeInOrderAndEachGetsItsReply) {
  const Plugin plugin(server_->path());
  for (int i = 1; i <= 3; ++i) {
    plugin.Ask(PluginRequestKind::kTask, i);
    const PluginMessage message = NextMessage();
    EXPECT_EQ(message.request.pid, i);
    ASSERT_TRUE(server_->Reply(PluginReplyKind::kMakeTwin));
    EXPECT_EQ(plugin.Reply(), PluginReplyKind::kMakeTwin);
  }
}

TEST_F(PluginServerTest, AReplyMayBringADescriptor) {
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kSmaps, 1);
  ASSERT_TRUE(Next());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const Fd reading(ends[0]);
  ASSERT_TRUE(server_->Reply(PluginReplyKind::kProceed, ends[1]));
  ::close(ends[1]);
  Fd received;
  EXPECT_EQ(plugin.Reply(&received), PluginReplyKind::kProceed);
  ASSERT_TRUE(received.valid());
  EXPECT_EQ(::write(received.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(reading.get(), &byte, 1), 1);
}

TEST_F(PluginServerTest, ACallIsMadeByThePluginWhichThenAsksAgain) {
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kRestored, 7);
  ASSERT_TRUE(Next());
  for (const int64_t result : {int64_t{7}, int64_t{-ENOMEM}}) {
    PluginRequest called{};
    called.kind = PluginRequestKind::kCalled;
    called.result = result;
    plugin.Send(&called, sizeof called);  // what it is going to say
    const Result<int64_t> made = server_->Call(criu_end_, 28, {1, 2, 3});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(*made, result);
    EXPECT_EQ(plugin.Reply(), PluginReplyKind::kCall);
  }
  ASSERT_TRUE(server_->Reply(PluginReplyKind::kProceed));
  EXPECT_EQ(plugin.Reply(), PluginReplyKind::kProceed);
}

TEST_F(PluginServerTest, ACallWhoseCriuEndsFails) {
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kRestored, 7);
  ASSERT_TRUE(Next());
  criu_.Kill();
  const Result<int64_t> made = server_->Call(criu_end_, 28, {1, 2, 3});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kCriu);
}

TEST_F(PluginServerTest, HangingUpIsNoticedByThePlugin) {
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kTask, 1);
  ASSERT_TRUE(Next());
  server_->HangUp();
  EXPECT_EQ(plugin.Reply(), std::nullopt);
}

TEST_F(PluginServerTest, TheEndOfCriuIsNoMessage) {
  criu_.Kill();
  const Result<std::optional<PluginMessage>> message = Next();
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->has_value());
}

TEST_F(PluginServerTest, APluginThatHangsUpIsFollowedByCriusEnd) {
  { const Plugin plugin(server_->path()); }
  criu_.Kill();
  const Result<std::optional<PluginMessage>> message = Next();
  ASSERT_TRUE(message);
  EXPECT_FALSE(message->has_value());
}

TEST_F(PluginServerTest, ARequestSentBeforeTheEndIsNotLost) {
  {
    const Plugin plugin(server_->path());
    plugin.Ask(PluginRequestKind::kRestored, 5);
  }
  criu_.Kill();
  ASSERT_TRUE(WaitForEnd(criu_end_.get(), -1));
  const PluginMessage message = NextMessage();
  EXPECT_EQ(message.request.pid, 5);
  EXPECT_FALSE(Next()->has_value());
}

TEST_F(PluginServerTest, ANewPluginMayComeAfterOneThatHungUp) {
  { const Plugin plugin(server_->path()); }
  const Plugin plugin(server_->path());
  plugin.Ask(PluginRequestKind::kTask, 2);
  const PluginMessage message = NextMessage();
  EXPECT_EQ(message.request.pid, 2);
}

TEST_F(PluginServerTest, SilenceIsAnErrorInTheEnd) {
  EXPECT_EQ(Next(1).error().kind, ErrorKind::kCriu);
  const Plugin plugin(server_->path());
  EXPECT_EQ(Next(1).error().kind, ErrorKind::kCriu);
}

TEST_F(PluginServerTest, ARequestOfTheWrongLengthIsAnError) {
  const Plugin plugin(server_->path());
  plugin.Send("short", 5);
  EXPECT_FALSE(Next());
}

TEST_F(PluginServerTest, AReplyToNobodyIsAnError) {
  EXPECT_FALSE(server_->Reply(PluginReplyKind::kProceed));
}

TEST_F(PluginServerTest, TheSocketGoesWithTheServer) {
  const std::string path = server_->path();
  EXPECT_TRUE(std::filesystem::exists(path));
  PluginServer moved = std::move(*server_);
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(path));
  { const PluginServer last = std::move(moved); }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(PluginServerTest, APathThatIsTooLongForASocketIsRefused) {
  const Result<PluginServer> server = PluginServer::Listen(directory_ / std::string(150, 'x'));
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace holdfast
