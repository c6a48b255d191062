#include "base/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <mutex>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

namespace holdfast {
namespace {

TEST(ParallelFor, DoesEveryItemOnce) {
  for (const unsigned threads : {0U, 1U, 3U}) {
    std::vector<std::atomic<int>> done(1000);
    ASSERT_TRUE(ParallelFor(
        done.size(),
        [&](size_t i) -> Result<void> {
          ++done[i];
          return {};
        },
        threads));
    for (const auto& count : done) EXPECT_EQ(count, 1);
  }
}

TEST(ParallelFor, OneThreadGoesInOrderAndIsTheCallers) {
  std::vector<size_t> order;
  const std::thread::id caller = std::this_thread::get_id();
  ASSERT_TRUE(ParallelFor(
      100,
      [&](size_t i) -> Result<void> {
        EXPECT_EQ(std::this_thread::get_id(), caller);
        order.push_back(i);
        return {};
      },
      1));
  std::vector<size_t> wanted(100);
  std::iota(wanted.begin(), wanted.end(), size_t{0});
  EXPECT_EQ(order, wanted);
}

TEST(ParallelFor, EachThreadTakesItemsInIncreasingOrder) {
  std::atomic<int> backwards = 0;
  ASSERT_TRUE(ParallelFor(
      2000,
      [&](size_t i) -> Result<void> {
        thread_local size_t last = 0;
        if (i == 0) last = 0;
        if (i < last) ++backwards;
        last = i;
        return {};
      },
      4));
  EXPECT_EQ(backwards, 0);
}

TEST(ParallelFor, NothingToDoIsDone) {
  EXPECT_TRUE(ParallelFor(0, [](size_t) -> Result<void> { return Fail(ErrorKind::kInternal, "called"); }));
  EXPECT_TRUE(ParallelFor(
      0, [](size_t) -> Result<void> { return Fail(ErrorKind::kInternal, "called"); }, 8));
}

TEST(ParallelFor, MoreThreadsThanItemsDoEachOnce) {
  std::vector<std::atomic<int>> done(3);
  ASSERT_TRUE(ParallelFor(
      done.size(),
      [&](size_t i) -> Result<void> {
        ++done[i];
        return {};
      },
      64));
  for (const auto& count : done) EXPECT_EQ(count, 1);
}

TEST(ParallelFor, ItemsRunAtTheSameTime) {
  constexpr unsigned kThreads = 4;
  std::latch all_here(kThreads);
  EXPECT_TRUE(ParallelFor(
      kThreads,
      [&](size_t) -> Result<void> {
        all_here.arrive_and_wait();  // comes back only when there are as many threads
        return {};
      },
      kThreads));
}

TEST(ParallelFor, AnErrorStopsItAndComesBackWhole) {
  std::vector<size_t> done;
  const Result<void> result = ParallelFor(
      100,
      [&](size_t i) -> Result<void> {
        done.push_back(i);
        if (i == 3) return Fail(ErrorKind::kNoSpace, "full").WithHint("make room");
        return {};
      },
      1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kNoSpace);
  EXPECT_EQ(result.error().message, "full");
  EXPECT_EQ(result.error().hint, "make room");
  EXPECT_EQ(done, (std::vector<size_t>{0, 1, 2, 3}));
}

TEST(ParallelFor, ReturnsAfterAnErrorOnlyWhenTheItemsUnderWayAreDone) {
  std::latch both_began(2);
  std::atomic<bool> other_is_done = false;
  const Result<void> result = ParallelFor(
      2,
      [&](size_t i) -> Result<void> {
        both_began.arrive_and_wait();
        if (i == 0) return Fail(ErrorKind::kIo, "broken");
        std::this_thread::yield();
        other_is_done = true;
        return {};
      },
      2);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "broken");
  EXPECT_TRUE(other_is_done);
}

TEST(ParallelFor, OneOfManyErrorsIsReported) {
  std::mutex mutex;
  std::vector<std::string> messages;
  const Result<void> result = ParallelFor(
      64,
      [&](size_t i) -> Result<void> {
        const std::lock_guard lock(mutex);
        messages.push_back("error " + std::to_string(i));
        return Fail(ErrorKind::kIo, messages.back());
      },
      4);
  ASSERT_FALSE(result);
  EXPECT_NE(std::find(messages.begin(), messages.end(), result.error().message), messages.end());
  EXPECT_LE(messages.size(), 4U);
}

TEST(CoreCount, IsAtLeastOne) {
  EXPECT_GE(CoreCount(), 1U);
}

}  // namespace
}  // namespace holdfast
