// Storing memory when something is in the way; and what is memory at all.
#include "memory/drain.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "memory_test_support.h"

namespace holdfast {
namespace {

class MemoryDrain : public MemoryStoreTest {};

class Canceller final : public Progress {
 public:
  explicit Canceller(int after) : left_(after) {}
  void Phase(std::string_view, uint64_t) override {}
  void Advance(uint64_t) override {}
  void Note(std::string_view) override {}
  bool Cancelled() const override { return left_.fetch_sub(1) <= 0; }

 private:
  mutable std::atomic<int> left_;
};

TEST_F(MemoryDrain, CountsWhatItHasRead) {
  const TestMemory memory(1500);
  const ChildProcess child([&] {
    for (size_t page = 0; page < 1500; ++page) memory.Fill(page, 1);
  });
  const std::vector<PageRun> runs = FindPages(child.pid(), memory.MappingsOf(child.pid())).value();
  std::atomic<uint64_t> bytes = 0;
  ASSERT_OK(DrainProcess(
      child.pid(), runs, *pending_, nullptr, [&](uint64_t more) { bytes += more; }, nullptr));
  EXPECT_EQ(bytes, memory.bytes());
}

TEST_F(MemoryDrain, NothingToStoreIsNothing) {
  const ChildProcess child;
  EXPECT_TRUE(DrainProcess(child.pid(), {}, *pending_, nullptr, NotAdvanced, nullptr)->empty());
}

TEST_F(MemoryDrain, AHoleAmongTheRunsIsAnErrorAndNoHang) {
  const TestMemory memory(3000);
  const ChildProcess child([&] {
    for (size_t page = 0; page < 3000; ++page) memory.Fill(page, 1);
    ::munmap(memory.Page(1000), kPageBytes);
  });
  const std::vector<PageRun> runs = {{memory.start(), memory.bytes(), false, false}};
  EXPECT_FALSE(DrainProcess(child.pid(), runs, *pending_, nullptr, NotAdvanced, nullptr));
}

TEST_F(MemoryDrain, AProcessThatIsGoneIsAnError) {
  const TestMemory memory(4);
  const std::vector<PageRun> runs = {{memory.start(), memory.bytes(), false, false}};
  EXPECT_FALSE(DrainProcess(DeadPid(), runs, *pending_, nullptr, NotAdvanced, nullptr));
  EXPECT_FALSE(FindPages(DeadPid(), {}));
}

TEST_F(MemoryDrain, IsInterruptedWhenTheUserWantsOut) {
  const TestMemory memory(4000);
  const ChildProcess child([&] {
    for (size_t page = 0; page < 4000; ++page) memory.Fill(page, 1);
  });
  const std::vector<PageRun> runs = {{memory.start(), memory.bytes(), false, false}};
  for (const int after : {0, 3}) {
    const Canceller progress(after);
    const auto extents = DrainProcess(child.pid(), runs, *pending_, nullptr, NotAdvanced, &progress);
    ASSERT_FALSE(extents) << after;
    EXPECT_EQ(extents.error().kind, ErrorKind::kInterrupted);
  }
}

TEST_F(MemoryDrain, StagedZerosAreKeptWhereTheyMatter) {
  StagedMemory staged;
  ASSERT_OK(staged.Copy(
      {{0x10000, 2 * kPageBytes, false}, {0x20000, kPageBytes, true}, {0x30000, kPageBytes, false}},
      [](uint64_t address, std::span<std::byte> out) -> Result<void> {
        if (address == 0x10000) std::fill(out.begin(), out.end(), std::byte{7});
        return {};
      }));
  const Result<std::vector<Extent>> extents =
      DrainStaged(staged, *pending_, [](uint64_t address) { return address == 0x20000; });
  ASSERT_OK(extents);
  ASSERT_EQ(extents->size(), 2U);
  EXPECT_EQ(extents->at(0).address, 0x10000U);
  EXPECT_EQ(extents->at(0).pages, 2U);
  EXPECT_EQ(extents->at(1).address, 0x20000U);
  EXPECT_EQ(extents->at(1).block, kZeroBlock);
  EXPECT_TRUE(extents->at(1).huge);
}

TEST(IsCaptured, LeavesOutSharedMemoryAndTheKernelsOwn) {
  const auto captured = [](const std::string& line) { return IsCaptured(ParseMaps(line).value().at(0)); };
  const std::string private_head = "1000-2000 rw-p 00000000 00:00 0   ";
  EXPECT_TRUE(captured(private_head));
  EXPECT_TRUE(captured(private_head + "[heap]"));
  EXPECT_TRUE(captured(private_head + "[stack]"));
  EXPECT_TRUE(captured(private_head + "/lib/x.so"));
  EXPECT_TRUE(captured(private_head + "/tmp/[vdso]"));
  EXPECT_FALSE(captured("1000-2000 rw-s 00000000 00:00 7   /dev/zero (deleted)"));
  for (const char* name : {"[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]", "[uprobes]"}) {
    EXPECT_FALSE(captured(private_head + name)) << name;
  }
}

}  // namespace
}  // namespace holdfast
