#include "memory/remote_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "memory_test_support.h"

namespace holdfast {
namespace {

TEST(RemoteMemory, ReadsAndWritesAnotherProcess) {
  const TestMemory memory(4);
  const ChildProcess child([&] { memory.Fill(1, 5); });
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  std::vector<std::byte> content(kPageBytes);
  ASSERT_OK(remote.Read(memory.start() + kPageBytes, content));
  memory.Fill(1, 5);
  EXPECT_EQ(std::memcmp(content.data(), memory.Page(1), kPageBytes), 0);
  const std::vector<std::byte> wanted(100, std::byte{9});
  ASSERT_OK(remote.Write(memory.start() + 4090, wanted));  // over the edge of a page
  std::vector<std::byte> read(100);
  ASSERT_OK(remote.Read(memory.start() + 4090, read));
  EXPECT_EQ(read, wanted);
  EXPECT_EQ(*memory.Page(0), 0) << "ours is another copy";
}

TEST(RemoteMemory, WorksWhereTheProcessHasNoAccess) {
  const TestMemory memory(6);
  const ChildProcess child([&] {
    for (size_t page = 0; page < 6; ++page) memory.Fill(page, 1);
    memory.Protect(2, 2, PROT_NONE);
    memory.Protect(4, 1, PROT_READ);
  });
  for (size_t page = 0; page < 6; ++page) memory.Fill(page, 1);
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  std::vector<std::byte> content(memory.bytes());
  ASSERT_OK(remote.Read(memory.start(), content));  // from readable to not and back
  EXPECT_EQ(std::memcmp(content.data(), memory.Page(0), content.size()), 0);
  const std::vector<std::byte> wanted(memory.bytes(), std::byte{3});
  ASSERT_OK(remote.Write(memory.start(), wanted));
  ASSERT_OK(remote.Read(memory.start(), content));
  EXPECT_EQ(content, wanted);
}

// Bit 56 of a pagemap entry: nobody else maps the page (Documentation/admin-guide/mm/pagemap.rst).
bool IsExclusive(pid_t pid, uint64_t address) {
  const Fd pagemap(::open(("/proc/" + std::to_string(pid) + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  uint64_t entry = 0;
  EXPECT_EQ(
      ::pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(address / kPageBytes * sizeof entry)),
      static_cast<ssize_t>(sizeof entry));
  return (entry >> 56 & 1) != 0;
}

TEST(RemoteMemory, ReadingMakesNoCopiesOfSharedPages) {
  const TestMemory memory(16);
  for (size_t page = 0; page < 16; ++page) memory.Fill(page, 1);
  const ChildProcess child;  // shares them on write, as a twin does
  std::vector<std::byte> content(memory.bytes());
  ASSERT_OK(RemoteMemory::Open(child.pid())->Read(memory.start(), content));
  for (size_t page = 0; page < 16; ++page) {
    EXPECT_FALSE(IsExclusive(child.pid(), memory.start() + page * kPageBytes)) << page;
  }
}

TEST(RemoteMemory, ScatteredPiecesAreReadWhereverTheyAre) {
  constexpr size_t kPages = 1300;  // more than one call takes
  const TestMemory memory(kPages);
  const auto fill = [&] {
    for (size_t page = 0; page < kPages; ++page) memory.Fill(page, static_cast<uint64_t>(page));
  };
  const ChildProcess child([&] {
    fill();
    memory.Protect(700, 3, PROT_NONE);  // which process_vm_readv does not read
  });
  fill();
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  std::vector<std::byte> content(memory.bytes());
  std::vector<RemotePiece> pieces;
  for (size_t page = 0; page < kPages; ++page) {
    const size_t at = (page * 7 % kPages) * kPageBytes;
    pieces.push_back({memory.start() + at, std::span(content).subspan(at, kPageBytes)});
  }
  ASSERT_OK(remote.ReadScattered(pieces));
  EXPECT_EQ(std::memcmp(content.data(), memory.Page(0), content.size()), 0);
  EXPECT_TRUE(remote.ReadScattered({}));
}

TEST(RemoteMemory, AWriteToAPrivateFileMappingLeavesTheFileAlone) {
  const Fd file = LetteredFile(2);
  const TestMemory memory(2, file.get());
  const ChildProcess child([&] { memory.Protect(0, 2, PROT_READ); });
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  ASSERT_OK(remote.Write(memory.start(), std::vector<std::byte>(10, std::byte{'x'})));
  char byte = 0;
  EXPECT_EQ(::pread(file.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'a');
}

TEST(RemoteMemory, WhereNothingIsMappedIsAnError) {
  const TestMemory memory(4);
  const ChildProcess child([&] { ::munmap(memory.Page(2), kPageBytes); });
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  std::vector<std::byte> content(memory.bytes());
  EXPECT_FALSE(remote.Read(memory.start(), content));
  const std::array pieces{RemotePiece{memory.start(), std::span(content).first(kPageBytes)},
                          RemotePiece{memory.start() + 2 * kPageBytes, std::span(content).first(kPageBytes)}};
  EXPECT_FALSE(remote.ReadScattered(pieces));
  EXPECT_FALSE(remote.Write(memory.start(), content));
  EXPECT_FALSE(remote.Read(~0ull - kPageBytes + 1, std::span(content).first(1)));
  EXPECT_TRUE(remote.Read(memory.start(), {}));
}

TEST(RemoteMemory, AProcessThatHasEndedIsNotFound) {
  const TestMemory memory(1);
  ChildProcess child;
  const RemoteMemory remote = RemoteMemory::Open(child.pid()).value();
  child.KillAndCollect();
  std::vector<std::byte> content(kPageBytes);
  EXPECT_EQ(remote.Read(memory.start(), content).error().kind, ErrorKind::kNotFound);
  const std::array pieces{RemotePiece{memory.start(), content}};
  EXPECT_EQ(remote.ReadScattered(pieces).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(remote.Write(memory.start(), content).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(RemoteMemory::Open(DeadPid()).error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
