// Tracking of one process's writes, step by step. What it does under all that can be done to memory is in
// memory_tracking_random_test.cc.
#include <gmock/gmock.h>

#include <optional>

#include "linux/stopped_process.h"
#include "memory/known_pages.h"
#include "memory/remote_memory.h"
#include "memory/write_tracking.h"
#include "memory_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kMillisecondsMax = 10'000;

class Tracked : public ::testing::Test {
 protected:
  // The child has written to pages 1 and 2 of eight.
  Tracked()
      : memory_(8), child_([this] {
          memory_.Fill(1, 1);
          memory_.Fill(2, 1);
        }) {}

  void SetUp() override {
    const Result<StoppedProcess> stopped = StoppedProcess::Stop(child_.pid(), kMillisecondsMax);
    ASSERT_OK(stopped);
    Result<WriteTracking> begun = WriteTracking::Begin(child_.pid(), *stopped);
    if (!begun) GTEST_SKIP() << begun.error().message;
    tracking_.emplace(*std::move(begun));
    ASSERT_OK(tracking_->Register(memory_.MappingsOf(child_.pid())));
  }
  // From outside, which leaves marks like a write of its own.
  void Write(size_t page) {
    const Result<RemoteMemory> memory = RemoteMemory::Open(child_.pid());
    const std::byte byte{7};
    ASSERT_OK(memory->Write(memory_.start() + page * kPageBytes, {&byte, 1}));
  }
  std::vector<size_t> Numbers(const std::vector<PageRun>& runs) const {
    std::vector<size_t> pages;
    for (const PageRun& run : runs) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes) {
        pages.push_back((at - memory_.start()) / kPageBytes);
      }
    }
    return pages;
  }
  WriteTracking::Found Find(bool arm) {
    const Result<StoppedProcess> stopped = StoppedProcess::Stop(child_.pid(), kMillisecondsMax);
    EXPECT_TRUE(stopped);
    return tracking_->Find(memory_.MappingsOf(child_.pid()), arm).value();
  }

  TestMemory memory_;
  ChildProcess child_;
  std::optional<WriteTracking> tracking_;
};

TEST_F(Tracked, WhatWasWrittenIsFoundAndWhatWasNotIsLeft) {
  EXPECT_THAT(Numbers(tracking_->Arm(memory_.MappingsOf(child_.pid()))->written), ElementsAre(1, 2));
  EXPECT_THAT(Numbers(Find(false).written), IsEmpty());
  Write(2);
  Write(5);
  const WriteTracking::Found found = Find(false);
  EXPECT_THAT(Numbers(found.written), ElementsAre(2, 5));
  EXPECT_THAT(Numbers(found.unwritten), ElementsAre(1));
  EXPECT_EQ(TotalBytes(tracking_->Written(memory_.MappingsOf(child_.pid())).value()), 2 * kPageBytes);
}

TEST_F(Tracked, FindArmsAgainWhenItIsToldTo) {
  ASSERT_OK(tracking_->Arm(memory_.MappingsOf(child_.pid())));
  Write(5);
  EXPECT_THAT(Numbers(Find(true).written), ElementsAre(5));
  EXPECT_THAT(Numbers(Find(true).written), IsEmpty());
  Write(1);
  EXPECT_THAT(Numbers(Find(true).written), ElementsAre(1));
}

TEST_F(Tracked, GoesOnWithItsDescriptor) {
  ASSERT_OK(tracking_->Arm(memory_.MappingsOf(child_.pid())));
  Fd descriptor = (*std::move(tracking_)).Release();
  tracking_.reset();
  Write(1);
  tracking_.emplace(WriteTracking::Continue(child_.pid(), std::move(descriptor)));
  EXPECT_TRUE(tracking_->IsCurrent(memory_.MappingsOf(child_.pid())).value());
  EXPECT_THAT(Numbers(Find(false).written), ElementsAre(1));
}

TEST_F(Tracked, ArmsNothingButWhatItIsTold) {
  Write(5);
  const uint64_t start = memory_.start();
  ASSERT_OK(tracking_->ArmOnly(memory_.MappingsOf(child_.pid()),
                               {{.address = start - kPageBytes, .bytes = 2 * kPageBytes},
                                {.address = start + 2 * kPageBytes, .bytes = 2 * kPageBytes},
                                {.address = start + 5 * kPageBytes, .bytes = 50 * kPageBytes}}));
  const WriteTracking::Found found = Find(false);
  EXPECT_THAT(Numbers(found.written), ElementsAre(1));
  EXPECT_THAT(Numbers(found.unwritten), ElementsAre(2, 5));
  Write(2);
  EXPECT_THAT(Numbers(Find(false).written), ElementsAre(1, 2));
}

TEST_F(Tracked, DoesNotArmWhatIsZerosAgain) {
  std::byte byte{1};
  ASSERT_OK(RemoteMemory::Open(child_.pid())->Read(memory_.start() + 4 * kPageBytes, {&byte, 1}));
  ASSERT_EQ(byte, std::byte{0});  // the page that all share
  ASSERT_OK(tracking_->ArmOnly(memory_.MappingsOf(child_.pid()),
                               {{.address = memory_.start(), .bytes = memory_.bytes()}}));
  EXPECT_THAT(Numbers(Find(false).unwritten), ElementsAre(1, 2));
}

TEST_F(Tracked, EndsWithIt) {
  ASSERT_OK(tracking_->Arm(memory_.MappingsOf(child_.pid())));
  tracking_.reset();
  const PagemapScanner scanner = PagemapScanner::Open(child_.pid()).value();
  EXPECT_FALSE(scanner.IsRegistered(memory_.start()).value());
  EXPECT_FALSE(scanner.HasProtected(memory_.start(), memory_.start() + memory_.bytes()).value());
}

TEST_F(Tracked, ByOneAtATime) {
  const Result<StoppedProcess> stopped = StoppedProcess::Stop(child_.pid(), kMillisecondsMax);
  ASSERT_OK(stopped);
  const Result<WriteTracking> second = WriteTracking::Begin(child_.pid(), *stopped);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kBusy);
}

TEST_F(Tracked, ANewMappingIsWrittenUntilItIsRegistered) {
  ASSERT_OK(tracking_->Arm(memory_.MappingsOf(child_.pid())));
  tracking_.reset();  // as if it had never been registered
  const Result<StoppedProcess> stopped = StoppedProcess::Stop(child_.pid(), kMillisecondsMax);
  ASSERT_OK(stopped);
  tracking_.emplace(WriteTracking::Begin(child_.pid(), *stopped).value());
  const std::vector<Mapping> mappings = memory_.MappingsOf(child_.pid());
  EXPECT_THAT(Numbers(tracking_->Find(mappings, true)->written), ElementsAre(1, 2));
  EXPECT_THAT(Numbers(tracking_->Find(mappings, true)->written), IsEmpty());
}

}  // namespace
}  // namespace holdfast
