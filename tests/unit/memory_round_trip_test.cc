// Memory of one live process, stored and put into another one that has the same mappings.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <set>

#include "linux/missing_pages.h"
#include "linux/pidfd.h"
#include "memory/drain.h"
#include "memory/fill.h"
#include "memory/remote_memory.h"
#include "memory_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;

class MemoryRoundTrip : public MemoryStoreTest {
 protected:
  std::vector<Extent> Drain(pid_t pid, const TestMemory& memory) {
    const Result<std::vector<PageRun>> runs = FindPages(pid, memory.MappingsOf(pid));
    if (!runs) ADD_FAILURE() << runs.error().message;
    Result<std::vector<Extent>> extents =
        DrainProcess(pid, runs.value(), *pending_, nullptr, NotAdvanced, nullptr);
    if (!extents) ADD_FAILURE() << extents.error().message;
    SortExtents(extents.value());
    return extents.value();
  }
  void Fill(pid_t pid, const Manifest& manifest, const std::set<uint64_t>& skip = {}) const {
    const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
    std::atomic<uint64_t> filled = 0;
    ASSERT_OK(FillMemory(pid, manifest.address_spaces.at(0), skip, manifest, *blocks, nullptr, filled));
  }
  static void ExpectSame(const TestMemory& memory, pid_t a, pid_t b) {
    const RemoteMemory memory_of_a = RemoteMemory::Open(a).value();
    const RemoteMemory memory_of_b = RemoteMemory::Open(b).value();
    std::vector<std::byte> page_of_a(kPageBytes);
    std::vector<std::byte> page_of_b(kPageBytes);
    for (size_t page = 0; page < memory.pages(); ++page) {
      const uint64_t address = memory.start() + page * kPageBytes;
      ASSERT_OK(memory_of_a.Read(address, page_of_a));
      ASSERT_OK(memory_of_b.Read(address, page_of_b));
      EXPECT_EQ(page_of_a, page_of_b) << "page " << page;
    }
  }
};

TEST_F(MemoryRoundTrip, PagesZerosAndHolesComeBack) {
  const TestMemory memory(300);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 300; ++page) {
      if (page % 7 == 3) continue;  // never touched
      if (page % 5 == 2) {
        memory.Zero(page);
      } else {
        memory.Fill(page, page % 3);
      }
    }
  });
  const Manifest manifest = Commit(Drain(from.pid(), memory));
  const ChildProcess to;
  Fill(to.pid(), manifest);
  ExpectSame(memory, from.pid(), to.pid());
}

// Where a page is already there it is written to; several mappings in a row are filled one by one.
TEST_F(MemoryRoundTrip, MissingPagesArePutInPlaceWhole) {
  const TestMemory memory(300);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 300; ++page) memory.Fill(page, page % 3);
  });
  const Manifest manifest = Commit(Drain(from.pid(), memory));
  auto* const number = static_cast<volatile int*>(
      ::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const ChildProcess to([&] {
    for (size_t page = 0; page < 300; page += 35) memory.Fill(page, 9);
    memory.Protect(100, 20, PROT_READ);
    *number = static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
  });
  const Result<Fd> pidfd = OpenPidfd(to.pid());
  ASSERT_OK(pidfd);
  Result<Fd> userfaultfd = CopyDescriptor(pidfd->get(), *number);
  ASSERT_OK(userfaultfd);
  const MissingPages missing(userfaultfd->get());
  ASSERT_OK(missing.Enable(MissingPages::Events::kNone));
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
  std::atomic<uint64_t> filled = 0;
  ASSERT_OK(FillMemory(to.pid(), manifest.address_spaces.at(0), {}, manifest, *blocks, &missing, filled));
  ExpectSame(memory, from.pid(), to.pid());
}

TEST_F(MemoryRoundTrip, PagesWithoutAccessComeBack) {
  const TestMemory memory(64);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 64; ++page) memory.Fill(page, 1);
    memory.Protect(10, 20, PROT_NONE);
    memory.Protect(40, 5, PROT_READ);
  });
  const ChildProcess to([&] {
    memory.Protect(10, 20, PROT_NONE);
    memory.Protect(40, 5, PROT_READ);
  });
  Fill(to.pid(), Commit(Drain(from.pid(), memory)));
  ExpectSame(memory, from.pid(), to.pid());
}

TEST_F(MemoryRoundTrip, APageOfAFileThatWasZeroedStaysZero) {
  const Fd file = LetteredFile(8);
  const TestMemory memory(8, file.get());
  const ChildProcess from([&] {
    memory.Zero(2);
    memory.Fill(5, 1);
  });
  const std::vector<Extent> extents = Drain(from.pid(), memory);
  const Manifest manifest = Commit(extents);
  const ChildProcess to;
  Fill(to.pid(), manifest);
  ExpectSame(memory, from.pid(), to.pid());
  EXPECT_TRUE(std::any_of(extents.begin(), extents.end(), [&](const Extent& extent) {
    return extent.address == memory.start() + 2 * kPageBytes && extent.block == kZeroBlock;
  }));
}

TEST_F(MemoryRoundTrip, ZerosOfAnonymousMemoryTakeNoRoomInTheManifest) {
  const TestMemory memory(64);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 64; ++page) memory.Zero(page);
  });
  EXPECT_TRUE(Drain(from.pid(), memory).empty());
  EXPECT_EQ(pending_->bytes_stored(), 0U);
}

TEST_F(MemoryRoundTrip, BlocksBeginAtMultiplesOfTheirSizeAndExtentsAreInOrder) {
  const TestMemory memory(200);
  const ChildProcess from([&] {
    for (size_t page = 3; page < 190; ++page) memory.Fill(page, 1);
  });
  const std::vector<Extent> extents = Drain(from.pid(), memory);
  ASSERT_FALSE(extents.empty());
  uint64_t end = memory.start() + 3 * kPageBytes;
  for (const Extent& extent : extents) {
    EXPECT_EQ(extent.address, end);
    EXPECT_TRUE(extent.address % limits::kBlockBytesMax == 0 || extent.address == extents.front().address);
    end = extent.address + extent.pages * kPageBytes;
  }
  EXPECT_EQ(end, memory.start() + 190 * kPageBytes);
}

TEST_F(MemoryRoundTrip, SkippedPagesAreLeftAsTheyAre) {
  const TestMemory memory(40);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 40; ++page) memory.Fill(page, 1);
  });
  const Manifest manifest = Commit(Drain(from.pid(), memory));
  const ChildProcess to;
  std::set<uint64_t> skip;
  for (const size_t page : {0U, 1U, 17U, 39U}) skip.insert(memory.start() + page * kPageBytes);
  Fill(to.pid(), manifest, skip);
  std::vector<size_t> untouched;
  const RemoteMemory remote = RemoteMemory::Open(to.pid()).value();
  std::vector<std::byte> content(kPageBytes);
  for (size_t page = 0; page < 40; ++page) {
    ASSERT_OK(remote.Read(memory.start() + page * kPageBytes, content));
    if (content == std::vector<std::byte>(kPageBytes)) untouched.push_back(page);
  }
  EXPECT_THAT(untouched, ElementsAre(0, 1, 17, 39));
}

TEST_F(MemoryRoundTrip, ManyScatteredPagesComeBackOnce) {
  constexpr size_t kPages = 4000;  // more runs than the kernel tells in one answer
  const TestMemory memory(kPages);
  const ChildProcess from([&] {
    for (size_t page = 0; page < kPages; page += 2) memory.Fill(page, page % 10);
  });
  const Manifest manifest = Commit(Drain(from.pid(), memory));
  const ChildProcess to;
  Fill(to.pid(), manifest);
  ExpectSame(memory, from.pid(), to.pid());
}

TEST_F(MemoryRoundTrip, PartOfABlockIsFoundByItsFirstPage) {
  const TestMemory memory(4);
  std::vector<std::byte> block(4 * kPageBytes);
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<std::byte>(1 + i / kPageBytes);
  const uint32_t index = pending_->AppendBlock(block).value();
  const Manifest manifest =
      Commit({{memory.start(), 1, index, 3, false}, {memory.start() + kPageBytes, 2, index, 1, false}});
  const ChildProcess to;
  Fill(to.pid(), manifest);
  const RemoteMemory remote = RemoteMemory::Open(to.pid()).value();
  std::vector<std::byte> content(4 * kPageBytes);
  ASSERT_OK(remote.Read(memory.start(), content));
  EXPECT_EQ(content[0], std::byte{4});
  EXPECT_EQ(content[kPageBytes], std::byte{2});
  EXPECT_EQ(content[2 * kPageBytes], std::byte{3});
  EXPECT_EQ(content[3 * kPageBytes], std::byte{0});
}

TEST_F(MemoryRoundTrip, ALongStretchOfZerosIsFilled) {
  const TestMemory memory(100);
  const Manifest manifest = Commit({{memory.start(), 100, kZeroBlock, 0, false}});
  const ChildProcess to([&] {
    for (size_t page = 0; page < 100; ++page) memory.Fill(page, 1);
  });
  Fill(to.pid(), manifest);
  const RemoteMemory remote = RemoteMemory::Open(to.pid()).value();
  std::vector<std::byte> content(memory.bytes(), std::byte{1});
  ASSERT_OK(remote.Read(memory.start(), content));
  EXPECT_TRUE(
      std::all_of(content.begin(), content.end(), [](std::byte byte) { return byte == std::byte{0}; }));
}

TEST_F(MemoryRoundTrip, WhereAHugePageWasOneIsMade) {
  constexpr size_t kHugePages = 512;
  const TestMemory memory(3 * kHugePages);
  const size_t first = (kHugePages - memory.start() / kPageBytes % kHugePages) % kHugePages;
  const TestMemory& m = memory;
  const ChildProcess from([&] {
    ::madvise(m.Page(first), kHugePages * kPageBytes, MADV_HUGEPAGE);
    for (size_t page = first; page < first + kHugePages; ++page) m.Fill(page, 1);
    ::madvise(m.Page(first), kHugePages * kPageBytes, 25);  // MADV_COLLAPSE
  });
  const std::vector<Extent> extents = Drain(from.pid(), memory);
  if (extents.empty() || !extents.front().huge) GTEST_SKIP() << "the kernel gave no huge page";
  const Manifest manifest = Commit(extents);
  const ChildProcess to([&] { ::madvise(m.Page(first), kHugePages * kPageBytes, MADV_HUGEPAGE); });
  Fill(to.pid(), manifest);
  ExpectSame(memory, from.pid(), to.pid());
  const Result<std::vector<PageRun>> runs = FindPages(to.pid(), memory.MappingsOf(to.pid()));
  ASSERT_OK(runs);
  ASSERT_FALSE(runs->empty());
  EXPECT_TRUE(runs->front().huge);
}

TEST_F(MemoryRoundTrip, FillingAProcessThatIsGoneOrHasNoSuchMappingFails) {
  const TestMemory memory(40);
  const ChildProcess from([&] {
    for (size_t page = 0; page < 40; ++page) memory.Fill(page, 1);
  });
  const Manifest manifest = Commit(Drain(from.pid(), memory));
  const std::unique_ptr<BlockReader> blocks = store_->OpenBlocks(manifest).value();
  std::atomic<uint64_t> filled = 0;
  EXPECT_FALSE(FillMemory(DeadPid(), manifest.address_spaces.at(0), {}, manifest, *blocks, nullptr, filled));
  const ChildProcess unmapped([&] { ::munmap(memory.Page(8), 8 * kPageBytes); });
  EXPECT_FALSE(
      FillMemory(unmapped.pid(), manifest.address_spaces.at(0), {}, manifest, *blocks, nullptr, filled));
}

}  // namespace
}  // namespace holdfast
