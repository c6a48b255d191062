// Our hold on a twin. A forked child is as good a twin as one that the plugin makes: it shares our pages and
// stands still.
#include "memory/memory_twin.h"

#include <gtest/gtest.h>

#include "linux/pidfd.h"
#include "memory/drain.h"
#include "memory_test_support.h"

namespace holdfast {
namespace {

class MemoryTwinTest : public MemoryStoreTest {
 protected:
  static Result<MemoryTwin> Attach(const ChildProcess& twin) {
    return MemoryTwin::Attach(twin.pid(), OpenPidfd(twin.pid()).value(), ::getpid(), TwinPlacement::kOrphan);
  }
  static uint64_t BytesLeft(pid_t pid, const TestMemory& memory) {
    uint64_t bytes = 0;
    const Result<std::vector<PageRun>> runs = FindPages(pid, memory.MappingsOf(pid));
    if (!runs) ADD_FAILURE() << runs.error().message;
    for (const PageRun& run : *runs) bytes += run.bytes;
    return bytes;
  }
};

TEST_F(MemoryTwinTest, GivesBackWhatItIsTold) {
  const TestMemory memory(16);
  ChildProcess child([&] {
    for (size_t page = 0; page < 16; ++page) memory.Fill(page, 1);
  });
  Result<MemoryTwin> twin = Attach(child);
  ASSERT_OK(twin);
  EXPECT_EQ(twin->pid(), child.pid());
  EXPECT_FALSE(twin->IsDead());
  twin->Release(memory.start() + 4 * kPageBytes, memory.start() + 8 * kPageBytes);
  EXPECT_EQ(BytesLeft(child.pid(), memory), 12 * kPageBytes);
  twin->Release(memory.start(), memory.start() + memory.bytes());
  EXPECT_EQ(BytesLeft(child.pid(), memory), 0U);
  child.Forget();
}

TEST_F(MemoryTwinTest, IsGoneWithoutATraceWhenLetGo) {
  ChildProcess child;
  const pid_t pid = child.pid();
  {
    const Result<MemoryTwin> twin = Attach(child);
    ASSERT_OK(twin);
  }
  child.Forget();
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(MemoryTwinTest, TellsThatItWasKilledAndCanBeLetGoThen) {
  ChildProcess child;
  Result<MemoryTwin> twin = Attach(child);
  ASSERT_OK(twin);
  child.Kill();
  ASSERT_OK(WaitForEnd(OpenPidfd(child.pid())->get(), -1));
  EXPECT_TRUE(twin->IsDead());
  twin->Release(0x1000, 0x2000);
  twin->Discard();
  twin->Discard();
  EXPECT_TRUE(twin->IsDead());
  child.Forget();
}

TEST_F(MemoryTwinTest, DiesWithItsHolder) {
  const ChildProcess twin;
  const Fd end = OpenPidfd(twin.pid()).value();
  const pid_t holder = ::fork();
  if (holder == 0) {
    Result<MemoryTwin> held =
        MemoryTwin::Attach(twin.pid(), OpenPidfd(twin.pid()).value(), ::getppid(), TwinPlacement::kOrphan);
    if (held) ::kill(::getpid(), SIGKILL);  // no destructor runs
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(holder, &status, 0), holder);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(WaitForEnd(end.get(), -1));
}

TEST_F(MemoryTwinTest, AProcessThatIsGoneCannotBeHeld) {
  EXPECT_FALSE(MemoryTwin::Attach(DeadPid(), Fd(), ::getpid(), TwinPlacement::kOrphan));
}

TEST_F(MemoryTwinTest, StoredMemoryIsGivenBackAndAllOfItIsStored) {
  constexpr size_t kPages = 10 * 1024;  // 40 MiB: more than is given back at a time
  const TestMemory memory(kPages);
  ChildProcess child([&] {
    for (size_t page = 0; page < kPages; ++page) memory.Fill(page, page % 64);
  });
  Result<MemoryTwin> twin = Attach(child);
  ASSERT_OK(twin);
  const std::vector<PageRun> runs = FindPages(child.pid(), memory.MappingsOf(child.pid())).value();
  Result<std::vector<Extent>> extents =
      DrainProcess(child.pid(), runs, *pending_, &*twin, NotAdvanced, nullptr);
  ASSERT_OK(extents);
  SortExtents(*extents);
  uint64_t pages = 0;
  for (const Extent& extent : *extents) pages += extent.pages;
  EXPECT_EQ(pages, kPages);
  const Manifest manifest = Commit(*extents);
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
  std::vector<std::byte> block(limits::kBlockBytesMax);
  for (const Extent& extent : manifest.address_spaces.at(0).extents) {
    const std::span<std::byte> raw(block.data(), manifest.blocks[extent.block].raw_bytes);
    ASSERT_OK(blocks->Read(extent.block, raw));
    const size_t first = (extent.address - memory.start()) / kPageBytes;
    for (size_t page = first; page < first + extent.pages; ++page) memory.Fill(page, page % 64);
    ASSERT_EQ(std::memcmp(raw.data(), memory.Page(first), raw.size()), 0) << first;
    ::madvise(memory.Page(first), raw.size(), MADV_DONTNEED);
  }
  child.Forget();
}

TEST_F(MemoryTwinTest, AnErrorWhileStoringEndsTheGivingBackToo) {
  const TestMemory memory(6000);
  ChildProcess child([&] {
    for (size_t page = 0; page < 6000; ++page) memory.Fill(page, 1);
    ::munmap(memory.Page(5000), kPageBytes);
  });
  Result<MemoryTwin> twin = Attach(child);
  ASSERT_OK(twin);
  const std::vector<PageRun> runs = {{memory.start(), memory.bytes(), false, false}};
  EXPECT_FALSE(DrainProcess(child.pid(), runs, *pending_, &*twin, NotAdvanced, nullptr));
  child.Forget();
}

TEST_F(MemoryTwinTest, ATwinThatIsKilledWhileItIsStoredIsAnErrorAndNoHang) {
  const TestMemory memory(12'000);
  ChildProcess child([&] {
    for (size_t page = 0; page < 12'000; ++page) memory.Fill(page, 1);
  });
  Result<MemoryTwin> twin = Attach(child);
  ASSERT_OK(twin);
  const std::vector<PageRun> runs = FindPages(child.pid(), memory.MappingsOf(child.pid())).value();
  const auto kill_at_once = [&](uint64_t) { child.Kill(); };
  const Fd end = OpenPidfd(child.pid()).value();
  EXPECT_FALSE(DrainProcess(child.pid(), runs, *pending_, &*twin, kill_at_once, nullptr));
  EXPECT_TRUE(WaitForEnd(end.get(), -1));  // its memory goes some moments before it does
  EXPECT_TRUE(twin->IsDead());
  child.Forget();
}

}  // namespace
}  // namespace holdfast
