// What `holdfast attach` and a supervisor say to each other.
#include "job/attach_protocol.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>

namespace holdfast {
namespace {

std::vector<AttachFrame> TakeAll(std::string& inbox) {
  std::vector<AttachFrame> frames;
  for (;;) {
    std::optional<AttachFrame> frame = TakeFrame(inbox).value();
    if (!frame) return frames;
    frames.push_back(*std::move(frame));
  }
}

TEST(AttachFrames, KeysComeBackWhateverTheyAre) {
  for (const std::string& keys : {std::string("ls\r"), std::string("\x03\x1b[A"), std::string("\0\xff", 2),
                                  std::string(kAttachPayloadBytesMax, 'x'), std::string(10'000, 'y')}) {
    std::string inbox = FormatKeys(keys);
    std::string got;
    for (const AttachFrame& frame : TakeAll(inbox)) {
      EXPECT_EQ(frame.kind, AttachFrame::Kind::kKeys);
      EXPECT_LE(frame.payload.size(), kAttachPayloadBytesMax);
      got += frame.payload;
    }
    EXPECT_EQ(got, keys);
    EXPECT_EQ(inbox, "");
  }
  EXPECT_EQ(FormatKeys(""), "");
}

TEST(AttachFrames, AWindowComesBack) {
  for (const WindowSize size : {WindowSize{24, 80}, WindowSize{0, 0}, WindowSize{65535, 256}}) {
    std::string inbox = FormatWindow(size);
    const std::vector<AttachFrame> frames = TakeAll(inbox);
    ASSERT_EQ(frames.size(), 1U);
    EXPECT_EQ(frames[0].kind, AttachFrame::Kind::kWindow);
    EXPECT_EQ(ParseWindow(frames[0].payload).rows, size.rows);
    EXPECT_EQ(ParseWindow(frames[0].payload).columns, size.columns);
  }
}

TEST(AttachFrames, WhatIsNoWindowIsTheDefaultOne) {
  for (const char* payload : {"", "abc", "abcde"}) {
    EXPECT_EQ(ParseWindow(payload).rows, WindowSize().rows);
    EXPECT_EQ(ParseWindow(payload).columns, WindowSize().columns);
  }
}

TEST(AttachFrames, ArriveInPieces) {
  const std::string sent = FormatKeys("hello") + FormatWindow({30, 100}) + FormatKeys("x");
  std::string inbox;
  std::string kinds;
  for (const char byte : sent) {
    inbox += byte;
    for (const AttachFrame& frame : TakeAll(inbox)) kinds += static_cast<char>(frame.kind);
  }
  EXPECT_EQ(kinds, "kwk");
  EXPECT_EQ(inbox, "");
}

TEST(AttachFrames, AnotherProtocolIsRefused) {
  for (std::string inbox :
       {std::string("GET / HTTP/1.1\r\n"), std::string("k\xff\xff"), std::string("\0\0\0", 3),
        std::string("K\0\x01x", 4), std::string("k\x10\x01", 3)}) {
    const Result<std::optional<AttachFrame>> frame = TakeFrame(inbox);
    ASSERT_FALSE(frame) << inbox;
    EXPECT_EQ(frame.error().kind, ErrorKind::kCorrupt);
  }
}

TEST(AttachFrames, AnEmptyFrameIsOne) {
  std::string inbox("k\0\0", 3);
  EXPECT_EQ(TakeAll(inbox).size(), 1U);
}

class AttachSocket : public ::testing::Test {
 protected:
  AttachSocket() {
    std::string pattern = ::testing::TempDir() + "holdfast-attach-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  ~AttachSocket() override {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }
  std::filesystem::path directory_;
};

TEST_F(AttachSocket, CarriesBytesBothWaysAndIsTheOwners) {
  const Fd listener = ListenForAttach(directory_).value();
  struct stat status {};
  ASSERT_EQ(::stat((directory_ / "attach.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 077U, 0U);
  const Fd client = ConnectToAttach(directory_).value();
  const Fd server(::accept(listener.get(), nullptr, nullptr));
  char byte = 0;
  EXPECT_EQ(::write(client.get(), "a", 1), 1);
  EXPECT_EQ(::read(server.get(), &byte, 1), 1);
  EXPECT_EQ(::write(server.get(), "b", 1), 1);
  EXPECT_EQ(::read(client.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'b');
}

TEST_F(AttachSocket, WorksInAPathThatIsTooLongForASocket) {
  std::filesystem::path deep = directory_;
  for (int i = 0; i < 5; ++i) deep /= std::string(60, 'd');
  std::filesystem::create_directories(deep);
  const Result<Fd> listener = ListenForAttach(deep);
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(ConnectToAttach(deep));
}

TEST_F(AttachSocket, ANewSupervisorTakesThePlaceOfADeadOne) {
  { const Result<Fd> dead = ListenForAttach(directory_); }
  EXPECT_FALSE(ConnectToAttach(directory_)) << "the file is there, and nobody listens";
  const Result<Fd> listener = ListenForAttach(directory_);
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(ConnectToAttach(directory_));
}

TEST_F(AttachSocket, WithoutASupervisorThereIsNobodyToReach) {
  EXPECT_FALSE(ConnectToAttach(directory_));
  EXPECT_EQ(ListenForAttach(directory_ / "missing").error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
