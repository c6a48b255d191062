#include "memory/staged_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>

namespace holdfast {
namespace {

constexpr uint64_t kPage = 4096;

// What is at an address is the address itself, in every eight bytes.
Result<void> ReadAddresses(uint64_t address, std::span<std::byte> out) {
  for (size_t i = 0; i + 8 <= out.size(); i += 8) {
    const uint64_t value = address + i;
    std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value,
                out.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

bool HoldsAddresses(const StagedRange& range) {
  std::vector<std::byte> wanted(range.bytes.size());
  if (!ReadAddresses(range.address, wanted)) return false;
  return std::equal(wanted.begin(), wanted.end(), range.bytes.begin());
}

TEST(StagedMemory, HoldsManyRangesAsTheyWere) {
  std::vector<StagedMemory::Wanted> wanted;
  for (uint64_t i = 0; i < 2000; ++i) wanted.push_back({i * 16 * kPage, (1 + i % 3) * kPage, i % 5 == 0});
  StagedMemory staged;
  ASSERT_TRUE(staged.Copy(wanted, ReadAddresses));
  ASSERT_EQ(staged.ranges().size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const StagedRange& range = staged.ranges()[i];
    ASSERT_EQ(range.address, wanted[i].address);
    ASSERT_EQ(range.bytes.size(), wanted[i].bytes);
    ASSERT_EQ(range.huge, wanted[i].huge);
    ASSERT_TRUE(HoldsAddresses(range));
  }
}

TEST(StagedMemory, ShortRangesAreReadManyAtATime) {
  std::vector<StagedMemory::Wanted> wanted;
  for (uint64_t i = 0; i < 5000; ++i) wanted.push_back({i * 16 * kPage, kPage, false});
  std::atomic<size_t> calls = 0;
  std::atomic<size_t> pieces_read = 0;
  StagedMemory staged;
  ASSERT_TRUE(staged.CopyScattered(wanted, [&](std::span<const RemotePiece> pieces) -> Result<void> {
    ++calls;
    pieces_read += pieces.size();
    for (const RemotePiece& piece : pieces) {
      if (!ReadAddresses(piece.address, piece.to)) return Fail(ErrorKind::kInternal, "");
    }
    return {};
  }));
  EXPECT_EQ(pieces_read, wanted.size());
  EXPECT_GT(calls, 1U);  // from several threads
  EXPECT_LT(calls, 50U);
  ASSERT_EQ(staged.ranges().size(), wanted.size());
  for (const StagedRange& range : staged.ranges()) ASSERT_TRUE(HoldsAddresses(range));
}

TEST(StagedMemory, ALongRangeIsReadInPiecesByAllCores) {
  std::atomic<uint64_t> bytes = 0;
  std::atomic<int> calls = 0;
  StagedMemory staged;
  constexpr uint64_t kBytes = (20 << 20) + 3 * kPage;
  ASSERT_TRUE(
      staged.Copy({{0x7f00'0000'0000, kBytes, false}}, [&](uint64_t address, std::span<std::byte> out) {
        bytes += out.size();
        ++calls;
        return ReadAddresses(address, out);
      }));
  EXPECT_EQ(bytes, kBytes);
  EXPECT_GT(calls, 1);
  ASSERT_EQ(staged.ranges().size(), 1U);
  EXPECT_TRUE(HoldsAddresses(staged.ranges()[0]));
}

TEST(StagedMemory, NothingWantedIsNothing) {
  StagedMemory staged;
  const auto never = [](uint64_t, std::span<std::byte>) -> Result<void> {
    return Fail(ErrorKind::kInternal, "called");
  };
  EXPECT_TRUE(staged.Copy({}, never));
  EXPECT_TRUE(staged.ranges().empty());
}

TEST(StagedMemory, AReadersErrorStopsAndComesBack) {
  std::atomic<int> calls = 0;
  std::vector<StagedMemory::Wanted> wanted;
  for (uint64_t i = 0; i < 1000; ++i) wanted.push_back({i * kPage, kPage, false});
  StagedMemory staged;
  const Result<void> copied =
      staged.Copy(wanted, [&](uint64_t address, std::span<std::byte>) -> Result<void> {
        ++calls;
        if (address == 10 * kPage) return Fail(ErrorKind::kNotFound, "the process ended");
        return {};
      });
  ASSERT_FALSE(copied);
  EXPECT_EQ(copied.error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(calls, 11);  // so little memory is copied by one thread
}

TEST(StagedMemory, FurtherCopiesAreAdded) {
  StagedMemory staged;
  ASSERT_TRUE(staged.Copy({{0x1000, kPage, false}}, ReadAddresses));
  ASSERT_TRUE(staged.Copy({{0x9000, 2 * kPage, false}}, ReadAddresses));
  ASSERT_EQ(staged.ranges().size(), 2U);
  for (const StagedRange& range : staged.ranges()) EXPECT_TRUE(HoldsAddresses(range));
}

TEST(StagedMemory, MovesWithItsContent) {
  StagedMemory first;
  ASSERT_TRUE(first.Copy({{0x1000, kPage, false}}, ReadAddresses));
  StagedMemory second = std::move(first);
  ASSERT_EQ(second.ranges().size(), 1U);
  StagedMemory third;
  third = std::move(second);
  ASSERT_EQ(third.ranges().size(), 1U);
  EXPECT_TRUE(HoldsAddresses(third.ranges()[0]));
}

TEST(StagedMemory, TakesReservedRoomAndMoreWhereThatIsTooSmall) {
  for (const uint64_t reserved : {kPage, 4 * kPage, 64 * kPage}) {
    StagedMemory staged;
    staged.Reserve(reserved);
    ASSERT_TRUE(staged.Copy({{0x1000, 2 * kPage, false}}, ReadAddresses));
    ASSERT_TRUE(staged.Copy({{0x9000, 3 * kPage, false}}, ReadAddresses));
    const StagedMemory moved = std::move(staged);
    ASSERT_EQ(moved.ranges().size(), 2U);
    for (const StagedRange& range : moved.ranges()) EXPECT_TRUE(HoldsAddresses(range));
  }
}

}  // namespace
}  // namespace holdfast
