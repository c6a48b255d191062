#include "lease/lease.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <thread>
#include <vector>

#include "store_test_support.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using State = LeaseRecord::State;

class LeaseTest : public testing::Test {
 protected:
  VersionedRecord Record() const { return VersionedRecord(folder_ / "lease"); }

  Result<Lease> Take(const std::string& holder, std::chrono::milliseconds time_to_live = 1h) {
    return Lease::Take(Record(), {holder, "node of " + holder, time_to_live}, watch_);
  }

  TemporaryDirectory directory_;
  const std::filesystem::path folder_ = directory_.path();
  LeaseWatch watch_;
};

TEST_F(LeaseTest, IsHeldByOne) {
  Result<Lease> first = Take("first");
  ASSERT_TRUE(first) << first.error().message;
  const Result<Lease> second = Take("second");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
  EXPECT_EQ(second.error().message, "held by first on node node of first");
  EXPECT_TRUE(first->Renew());
}

TEST_F(LeaseTest, IsGivenBackWithWhatWasPublished) {
  Result<Lease> first = Take("first");
  ASSERT_TRUE(first->Publish("snapshot 7"));
  ASSERT_TRUE(first->GiveBack());
  const Result<Lease> second = Take("second");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->record().snapshot, "snapshot 7");
  EXPECT_GT(second->token(), first->token());
}

// The node of the holder comes back after a partition: it finds out, and its late snapshot is not the newest.
TEST_F(LeaseTest, WhoLostItPublishesNothing) {
  Result<Lease> lost = Take("lost", 1ms);
  ASSERT_TRUE(lost->Publish("good"));
  Result<Lease> taken = Fail(ErrorKind::kBusy, "");
  while (!taken) {
    taken = Take("successor");
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(lost->Publish("late").error().kind, ErrorKind::kBusy);
  EXPECT_EQ(lost->Renew().error().kind, ErrorKind::kBusy);
  EXPECT_TRUE(lost->GiveBack());  // which is not to take it from its successor
  EXPECT_EQ(taken->record().snapshot, "good");
  EXPECT_TRUE(taken->Renew());
  EXPECT_EQ(Take("third").error().kind, ErrorKind::kBusy);
}

TEST_F(LeaseTest, AnAttemptThatWasCutShortIsGoneOnWith) {
  Result<Lease> first = Take("pod/container");
  const Result<Lease> again = Take("pod/container");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_GT(again->token(), first->token());
  EXPECT_EQ(first->Renew().error().kind, ErrorKind::kBusy);
}

TEST_F(LeaseTest, AHolderThatIsKnownToBeGoneIsNotWaitedFor) {
  ASSERT_TRUE(Take("dead"));
  std::string asked;
  const Result<Lease> taken =
      Lease::Take(Record(), {"successor", "here", 1h}, watch_, [&asked](const LeaseRecord& record) {
        asked = record.holder + " on " + record.node;
        return true;
      });
  EXPECT_TRUE(taken);
  EXPECT_EQ(asked, "dead on node of dead");
}

TEST_F(LeaseTest, WhatCannotBeReadIsNotTaken) {
  std::filesystem::create_directories(folder_ / "lease");
  for (const std::string text :
       {"", "{}", "null", R"({"format": 2})", R"({"format": 1, "state": "held"})", "\xff\xfe", "[[[["}) {
    std::ofstream(folder_ / "lease" / "00000000000000000001") << text;
    const Result<Lease> lease = Take("somebody");
    ASSERT_FALSE(lease) << text;
    EXPECT_EQ(lease.error().kind, ErrorKind::kCorrupt) << text;
    EXPECT_THAT(lease.error().hint, testing::HasSubstr("remove")) << text;
  }
}

TEST(LeaseRecord, ComesBackAsItWas) {
  LeaseRecord record{State::kHeld, "pod \"x\"/c", "node\n", 17, 4, 1500ms, "abc", 1'700'000'000'000};
  const Result<LeaseRecord> back = LeaseRecord::FromJson(record.ToJson());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, record);
}

// By the watcher's own clock, from when it first saw this renewal: the holder's clock may be years away.
TEST(LeaseWatch, ExpiresWithoutRenewals) {
  LeaseRecord record{State::kHeld, "a", "n", 1, 0, 20s, "", 0};
  LeaseWatch watch;
  const LeaseWatch::Clock::time_point start{};
  EXPECT_FALSE(watch.IsExpired(record, start));
  EXPECT_FALSE(watch.IsExpired(record, start + 24s));
  ++record.beat;
  EXPECT_FALSE(watch.IsExpired(record, start + 40s));
  EXPECT_FALSE(watch.IsExpired(record, start + 64s));
  EXPECT_TRUE(watch.IsExpired(record, start + 65s));
  ++record.token;  // another one has taken it meanwhile
  EXPECT_FALSE(watch.IsExpired(record, start + 66s));
  record.state = State::kFree;
  EXPECT_FALSE(watch.IsExpired(record, start + 1000s));
}

// Threads stand for machines: they share the directory only. At each moment at most one that renews it has
// it.
TEST_F(LeaseTest, ManyTakeItInTurn) {
  std::atomic<int> holding = 0;
  std::atomic<int> turns = 0;
  std::vector<uint64_t> tokens;
  std::vector<std::thread> machines;
  std::mutex tokens_mutex;
  for (int machine = 0; machine < 4; ++machine) {
    machines.emplace_back([&, machine] {
      LeaseWatch watch;
      while (turns < 40) {
        Result<Lease> lease = Lease::Take(Record(), {"m" + std::to_string(machine), "n", 1h}, watch);
        if (!lease) {
          EXPECT_EQ(lease.error().kind, ErrorKind::kBusy) << lease.error().message;
          std::this_thread::yield();
          continue;
        }
        EXPECT_EQ(++holding, 1);
        {
          const std::lock_guard lock(tokens_mutex);
          tokens.push_back(lease->token());
        }
        EXPECT_TRUE(lease->Renew());
        ++turns;
        --holding;
        EXPECT_TRUE(lease->GiveBack());
      }
    });
  }
  for (std::thread& machine : machines) machine.join();
  EXPECT_TRUE(std::is_sorted(tokens.begin(), tokens.end()));
  EXPECT_EQ(std::adjacent_find(tokens.begin(), tokens.end()), tokens.end());
}

}  // namespace
}  // namespace holdfast
