// How much of a running process is not saved, seen from outside.
#include <gtest/gtest.h>
#include <signal.h>

#include <optional>

#include "engine/engine.h"
#include "linux/stopped_process.h"
#include "memory/remote_memory.h"
#include "memory/write_tracking.h"
#include "memory_test_support.h"

namespace holdfast {
namespace {

constexpr size_t kPages = 256;

class UnsavedMemoryTest : public ::testing::Test {
 protected:
  UnsavedMemoryTest()
      : memory_(kPages), child_([this] {
          for (size_t page = 0; page < kPages; ++page) memory_.Fill(page, 1);
        }) {}

  // Tracks it, and says so as a checkpoint does.
  void Track() {
    Result<StoppedProcess> stopped = StoppedProcess::Stop(child_.pid(), 10'000);
    ASSERT_OK(stopped);
    Result<WriteTracking> begun = WriteTracking::Begin(child_.pid(), *stopped);
    if (!begun) GTEST_SKIP() << begun.error().message;
    const std::vector<Mapping> mappings = ReadMaps(child_.pid()).value();
    ASSERT_OK(begun->Register(mappings));
    ASSERT_OK(begun->Arm(mappings));
    kept_.tasks.push_back({child_.pid(), ReadStatus(child_.pid())->start_ticks, std::move(*begun).Release()});
  }
  void Write(size_t page) const {
    const std::byte byte{7};
    ASSERT_OK(RemoteMemory::Open(child_.pid())->Write(memory_.start() + page * kPageBytes, {&byte, 1}));
  }

  TestMemory memory_;
  ChildProcess child_;
  KeptTracking kept_;
};

TEST_F(UnsavedMemoryTest, WithoutTrackingAllOfIt) {
  const Result<UnsavedMemory> unsaved = MeasureUnsaved(child_.pid(), {});
  ASSERT_OK(unsaved);
  EXPECT_FALSE(unsaved->tracked);
  EXPECT_EQ(unsaved->written_bytes, 0U);
  EXPECT_GE(unsaved->untracked_bytes, kPages * kPageBytes);
}

TEST_F(UnsavedMemoryTest, WithTrackingWhatIsWritten) {
  Track();
  if (IsSkipped()) return;
  const uint64_t before = MeasureUnsaved(child_.pid(), kept_)->written_bytes;
  for (const size_t page : {3U, 4U, 200U}) Write(page);
  Write(3);
  const Result<UnsavedMemory> unsaved = MeasureUnsaved(child_.pid(), kept_);
  ASSERT_OK(unsaved);
  EXPECT_TRUE(unsaved->tracked);
  EXPECT_EQ(unsaved->written_bytes, before + 3 * kPageBytes);
  EXPECT_EQ(unsaved->untracked_bytes, 0U);
}

TEST_F(UnsavedMemoryTest, APidThatWasGivenToAnotherIsNotTracked) {
  kept_.tasks.push_back({child_.pid(), 1, Fd()});
  EXPECT_FALSE(MeasureUnsaved(child_.pid(), kept_)->tracked);
}

TEST_F(UnsavedMemoryTest, OfAProcessThatIsGoneIsAnError) {
  EXPECT_FALSE(MeasureUnsaved(DeadPid(), {}));
}

}  // namespace
}  // namespace holdfast
