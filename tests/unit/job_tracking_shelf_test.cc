// What one checkpoint leaves for the next one.
#include "job/tracking_shelf.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "store_test_support.h"

namespace holdfast {
namespace {

// A supervisor that does nothing else.
class Supervisor {
 public:
  explicit Supervisor(const std::filesystem::path& directory)
      : shelf_(TrackingShelf::Open(directory).value()), thread_([this] {
          while (!stop_) {
            pollfd wait{.fd = shelf_.fd(), .events = POLLIN, .revents = 0};
            if (::poll(&wait, 1, 10) > 0) shelf_.Serve();
          }
        }) {}
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor() {
    stop_ = true;
    thread_.join();
  }

 private:
  std::atomic<bool> stop_ = false;
  TrackingShelf shelf_;
  std::thread thread_;
};

Fd MarkedDescriptor(char mark) {
  Fd fd(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd.get(), &mark, 1), 1);
  return fd;
}

char MarkOf(const Fd& fd) {
  char mark = 0;
  return ::pread(fd.get(), &mark, 1, 0) == 1 ? mark : '?';
}

KeptTracking Tracking(uint64_t version, int count) {
  KeptTracking tracking;
  tracking.base = {"job", version};
  for (int i = 0; i < count; ++i) {
    tracking.tasks.push_back(
        {100 + i, static_cast<uint64_t>(1000 + i), MarkedDescriptor(static_cast<char>('a' + i % 26))});
  }
  return tracking;
}

void Check(const KeptTracking& tracking, uint64_t version, int count) {
  EXPECT_EQ(tracking.base.ToString(), "job@" + std::to_string(version));
  ASSERT_EQ(tracking.tasks.size(), static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const KeptTracking::Task& task = tracking.tasks[static_cast<size_t>(i)];
    EXPECT_EQ(task.pid, 100 + i);
    EXPECT_EQ(task.start_ticks, static_cast<uint64_t>(1000 + i));
    EXPECT_EQ(MarkOf(task.userfaultfd), static_cast<char>('a' + i % 26));
  }
}

TEST(TrackingShelf, GivesOnceWhatWasLeft) {
  const TemporaryDirectory directory;
  const Supervisor supervisor(directory.path());
  EXPECT_TRUE(TakeFromShelf(directory.path()).tasks.empty());
  PutOnShelf(directory.path(), Tracking(7, 3));
  Check(TakeFromShelf(directory.path()), 7, 3);
  EXPECT_TRUE(TakeFromShelf(directory.path()).tasks.empty());
}

TEST(TrackingShelf, ShowsWhatLiesOnIt) {
  const TemporaryDirectory directory;
  TrackingShelf shelf = TrackingShelf::Open(directory.path()).value();
  EXPECT_TRUE(shelf.Shows().tasks.empty());
  const auto before = std::chrono::steady_clock::now();
  PutOnShelf(directory.path(), Tracking(7, 3));  // waits in the socket
  EXPECT_TRUE(shelf.Shows().tasks.empty());
  shelf.Serve();
  const KeptTracking shown = shelf.Shows();
  EXPECT_EQ(shown.base.ToString(), "job@7");
  ASSERT_EQ(shown.tasks.size(), 3U);
  EXPECT_EQ(shown.tasks[2].pid, 102);
  EXPECT_EQ(shown.tasks[2].start_ticks, 1002U);
  EXPECT_FALSE(shown.tasks[2].userfaultfd.valid());
  EXPECT_GE(shelf.left_at(), before);
}

TEST(TrackingShelf, ServesNobodyAtOnce) {
  const TemporaryDirectory directory;
  TrackingShelf shelf = TrackingShelf::Open(directory.path()).value();
  shelf.Serve();
  EXPECT_TRUE(shelf.Shows().tasks.empty());
}

TEST(TrackingShelf, IsOurs) {
  const TemporaryDirectory directory;
  const Supervisor supervisor(directory.path());
  const auto mode = std::filesystem::status(directory.path() / "tracking.socket").permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(TrackingShelf, KeepsTheNewest) {
  const TemporaryDirectory directory;
  const Supervisor supervisor(directory.path());
  PutOnShelf(directory.path(), Tracking(7, 3));
  PutOnShelf(directory.path(), Tracking(8, 1));
  Check(TakeFromShelf(directory.path()), 8, 1);
}

TEST(TrackingShelf, KeepsAsManyAsAMessageHolds) {
  const TemporaryDirectory directory;
  const Supervisor supervisor(directory.path());
  PutOnShelf(directory.path(), Tracking(1, 300));
  Check(TakeFromShelf(directory.path()), 1, 250);
}

TEST(TrackingShelf, MayHaveALongPath) {
  const TemporaryDirectory directory;
  std::filesystem::path deep = directory.path();
  for (int i = 0; i < 10; ++i) deep /= std::string(30, static_cast<char>('a' + i));
  std::filesystem::create_directories(deep);
  const Supervisor supervisor(deep);
  PutOnShelf(deep, Tracking(2, 2));
  Check(TakeFromShelf(deep), 2, 2);
}

TEST(TrackingShelf, WithoutASupervisorIsEmpty) {
  const TemporaryDirectory directory;
  PutOnShelf(directory.path(), Tracking(2, 2));
  EXPECT_TRUE(TakeFromShelf(directory.path()).tasks.empty());
  EXPECT_TRUE(TakeFromShelf(directory.path() / "nowhere").tasks.empty());
}

TEST(TrackingShelf, IsTakenOverFromADeadSupervisor) {
  const TemporaryDirectory directory;
  WriteWholeFile(directory.path() / "tracking.socket", "");  // which stays behind
  const Supervisor supervisor(directory.path());
  PutOnShelf(directory.path(), Tracking(3, 1));
  Check(TakeFromShelf(directory.path()), 3, 1);
}

}  // namespace
}  // namespace holdfast
