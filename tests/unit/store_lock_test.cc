// Named locks: one holder, across threads and processes, until it lets go or dies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "process_test_support.h"
#include "store/store.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

class StoreLockTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
  }
  std::filesystem::path File(const std::string& name) const {
    return store_->directory() / "locks" / (name + ".lock");
  }
  void WriteRecord(const std::string& name, const std::string& text) const {
    WriteWholeFile(File(name), text);
  }
  static std::string Record(const std::string& boot, const std::string& host, const std::string& expires_ms) {
    return R"({"pid":77,"start_ticks":5,"host":")" + host + R"(","boot_id":")" + boot +
           R"(","command":"holdfast checkpoint x","since_ms":1700000000000,"expires_ms":)" + expires_ms + "}";
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
};

const std::string kFarFuture = "9000000000000";  // in the year 2255

TEST_F(StoreLockTest, HasOneHolderWhomTheNextOneIsTold) {
  std::optional<Result<StoreLock>> lock = store_->Lock("job-train");
  ASSERT_OK(*lock);
  const Result<StoreLock> second = store_->Lock("job-train");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
  EXPECT_THAT(second.error().message, HasSubstr(std::to_string(::getpid())));
  EXPECT_THAT(second.error().message, HasSubstr("store_lock_test"));
  lock.reset();
  EXPECT_TRUE(store_->Lock("job-train"));
}

TEST_F(StoreLockTest, NamesAreIndependent) {
  const Result<StoreLock> one = store_->Lock("one");
  const Result<StoreLock> two = store_->Lock("two");
  EXPECT_TRUE(one);
  EXPECT_TRUE(two);
}

TEST_F(StoreLockTest, LeavesNoFileBehind) {
  {
    const Result<StoreLock> lock = store_->Lock("x");
    ASSERT_OK(lock);
    struct stat status {};
    ASSERT_EQ(::stat(File("x").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
  }
  EXPECT_FALSE(std::filesystem::exists(File("x")));
}

TEST_F(StoreLockTest, MovesWithItsHandle) {
  Result<StoreLock> first = store_->Lock("x");
  ASSERT_OK(first);
  std::optional<StoreLock> second = *std::move(first);
  EXPECT_FALSE(store_->Lock("x"));
  second.reset();
  EXPECT_TRUE(store_->Lock("x"));
}

TEST_F(StoreLockTest, AnotherProcessIsNamedAndItsDeathFrees) {
  ChildProcess holder([&] {
    static std::optional<Result<StoreLock>> lock;
    lock = store_->Lock("x");
    if (!*lock) ::_exit(1);
  });
  const Result<StoreLock> refused = store_->Lock("x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kBusy);
  EXPECT_THAT(refused.error().message, HasSubstr(std::to_string(holder.pid())));
  holder.KillAndCollect();
  EXPECT_TRUE(std::filesystem::exists(File("x"))) << "nobody was left to remove it";
  EXPECT_TRUE(store_->Lock("x"));
}

TEST_F(StoreLockTest, WaitsForTheHolder) {
  std::optional<Result<StoreLock>> lock = store_->Lock("x");
  ASSERT_OK(*lock);
  std::jthread holder([&] {
    ::usleep(30'000);
    lock.reset();
  });
  EXPECT_TRUE(store_->Lock("x", 60));
}

TEST_F(StoreLockTest, OneOfManyAtOnceGetsIt) {
  constexpr int kThreads = 8;
  std::atomic<int> holders = 0;
  std::atomic<int> most = 0;
  std::atomic<int> failed = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int round = 0; round < 5; ++round) {
          const Result<StoreLock> lock = store_->Lock("x", 60);
          if (!lock) {
            ++failed;
            continue;
          }
          most = std::max(most.load(), ++holders);
          std::this_thread::yield();
          --holders;
        }
      });
    }
  }
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(most, 1);
}

TEST_F(StoreLockTest, ARecordThatNobodyHoldsOnThisMachineIsVoid) {
  const std::string boot = ReadWholeFile("/proc/sys/kernel/random/boot_id").substr(0, 36);
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  WriteRecord("x", Record(boot, host, kFarFuture));
  EXPECT_TRUE(store_->Lock("x"));
  WriteRecord("y", Record("an-earlier-boot", host, kFarFuture));
  EXPECT_TRUE(store_->Lock("y"));
}

TEST_F(StoreLockTest, AnotherHostIsBelievedUntilItsRecordExpires) {
  WriteRecord("x", Record("another-boot", "elsewhere", kFarFuture));
  const Result<StoreLock> refused = store_->Lock("x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kBusy);
  EXPECT_THAT(refused.error().message, HasSubstr("elsewhere"));
  EXPECT_THAT(refused.error().message, HasSubstr("holdfast checkpoint x"));
  EXPECT_THAT(refused.error().hint, HasSubstr("locks/x.lock"));
  WriteRecord("x", Record("another-boot", "elsewhere", "1700000000001"));
  EXPECT_TRUE(store_->Lock("x"));
}

TEST_F(StoreLockTest, ADamagedRecordHoldsNothing) {
  for (const char* text : {"", "{", "[]", "{\"pid\":\"x\"}", "\xff\xff", "null"}) {
    WriteRecord("x", text);
    EXPECT_TRUE(store_->Lock("x")) << text;
  }
}

TEST_F(StoreLockTest, OddNamesAreRefused) {
  for (const std::string& name : {std::string(), std::string("a/b"), std::string(".."), std::string(".gate"),
                                  std::string("a b"), std::string(300, 'a')}) {
    EXPECT_EQ(store_->Lock(name).error().kind, ErrorKind::kUsage) << name;
  }
}

TEST_F(StoreLockTest, ALinkInItsPlaceIsRefused) {
  const std::filesystem::path target = directory_.path() / "target";
  WriteWholeFile(target, "precious");
  std::filesystem::create_symlink(target, File("x"));
  EXPECT_EQ(store_->Lock("x").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ReadWholeFile(target), "precious");
}

}  // namespace
}  // namespace holdfast
