#include "criu/images.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <random>
#include <string>

#include "criu_test_support.h"

namespace holdfast {
namespace {

TEST(PagemapImage, ComesBackAsItWasWritten) {
  PagemapImage written;
  written.pages_id = 7;
  written.entries = {{0x1000, 1}, {0x7fff'ffff'f000, 3}, {0xffff'ffff'f000, UINT32_MAX}};
  const Result<PagemapImage> read = ParsePagemap(SerializePagemap(written), "pagemap-1.img");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->pages_id, 7U);
  ASSERT_EQ(read->entries.size(), written.entries.size());
  for (size_t i = 0; i < written.entries.size(); ++i) {
    EXPECT_EQ(read->entries[i].address, written.entries[i].address);
    EXPECT_EQ(read->entries[i].pages, written.entries[i].pages);
  }
}

TEST(PagemapImage, IsWrittenAsCriuReadsIt) {
  PagemapImage pagemap;
  pagemap.pages_id = 2;
  pagemap.entries = {{0x400000, 5}};
  const std::string head = Number(1, 2);
  const std::string entry = Number(1, 0x400000) + Number(2, 5) + Number(4, 4);  // PE_PRESENT
  EXPECT_EQ(SerializePagemap(pagemap), Word(0x54564319) + Word(0x56084025) +
                                           Word(static_cast<uint32_t>(head.size())) + head +
                                           Word(static_cast<uint32_t>(entry.size())) + entry);
}

TEST(PagemapImage, WithoutPagesIsOne) {
  EXPECT_TRUE(ParsePagemap(SerializePagemap({3, {}}), "x")->entries.empty());
}

TEST(PagemapImage, CutOffAnywhereItIsCorruptOrShorter) {
  const std::string whole = SerializePagemap({2, {{0x1000, 1}, {0x3000, 2}}});
  size_t readable = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    const Result<PagemapImage> read = ParsePagemap(whole.substr(0, length), "pagemap-1.img");
    if (read) {
      ++readable;
      EXPECT_LT(read->entries.size(), 2U);
    } else {
      EXPECT_EQ(read.error().kind, ErrorKind::kCorrupt);
      EXPECT_NE(read.error().message.find("pagemap-1.img"), std::string::npos) << read.error().message;
    }
  }
  EXPECT_EQ(readable, 2U);  // after the head and after the first entry
}

TEST(PagemapImage, AbsurdLengthsAreCorrupt) {
  for (const uint32_t length : {0xffffffffU, 0x7fffffffU, 100U}) {
    const std::string bytes = Word(0x54564319) + Word(0x56084025) + Word(length) + Number(1, 2);
    EXPECT_EQ(ParsePagemap(bytes, "x").error().kind, ErrorKind::kCorrupt) << length;
  }
}

TEST(PagemapImage, ARecordThatIsNoMessageIsCorrupt) {
  EXPECT_EQ(ParsePagemap(Image({"\xff\xff\xff"}), "x").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ParsePagemap(Image({Number(1, 2), "\x0a\x7f"}), "x").error().kind, ErrorKind::kCorrupt);
}

TEST(ParseThread, FindsStackAndRestartableSequence) {
  const std::string registers = Number(19, 1) + Number(20, 0x7ffc'1234'5678) + Number(21, 2);
  const std::string core = Number(1, 2) + Bytes(2, Bytes(2, registers)) +
                           Bytes(5, Bytes(15, Number(1, 0x7f00'0000'1000) + Number(2, 32)));
  const Result<ThreadAddresses> thread = ParseThread(Image({core}), "core-1.img");
  ASSERT_TRUE(thread) << thread.error().message;
  EXPECT_EQ(thread->stack_pointer, 0x7ffc'1234'5678U);
  EXPECT_EQ(thread->rseq, 0x7f00'0000'1000U);
  EXPECT_EQ(thread->rseq_bytes, 32U);
}

TEST(ParseThread, WithoutARestartableSequenceThereIsNone) {
  const Result<ThreadAddresses> thread =
      ParseThread(Image({Bytes(2, Bytes(2, Number(20, 0x1000)))}), "core-1.img");
  ASSERT_TRUE(thread);
  EXPECT_EQ(thread->rseq, 0U);
  EXPECT_EQ(thread->rseq_bytes, 0U);
}

TEST(ParseFreezeMs, AddsFreezingAndFrozen) {
  const std::string dump = Number(1, 1500) + Number(2, 8250) + Number(3, 99'000'000);
  EXPECT_DOUBLE_EQ(ParseFreezeMs(Image({Bytes(1, dump)})).value(), 9.75);
}

TEST(ParseFreezeMs, RefusesAnEmptyOrDamagedImage) {
  EXPECT_EQ(ParseFreezeMs("").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ParseFreezeMs(Image({})).error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ParseFreezeMs(Image({"\x0a\x05\x08"})).error().kind, ErrorKind::kCorrupt);
}

TEST(ParseProcessTree, ReadsEachProcessWithItsThreads) {
  const std::string root =
      Number(1, 10) + Number(2, 0) + Number(3, 10) + Number(4, 9) + Number(5, 10) + Number(5, 12);
  const std::string child = Number(1, 11) + Number(2, 10) + Number(3, 10) + Number(4, 9) + Number(5, 11);
  const Result<std::vector<ProcessTreeEntry>> tree = ParseProcessTree(Image({root, child}));
  ASSERT_TRUE(tree) << tree.error().message;
  ASSERT_EQ(tree->size(), 2U);
  EXPECT_EQ(tree->at(0).pid, 10);
  EXPECT_EQ(tree->at(0).session, 9);
  EXPECT_EQ(tree->at(0).threads, (std::vector<int32_t>{10, 12}));
  EXPECT_EQ(tree->at(1).parent, 10);
  EXPECT_EQ(tree->at(1).group, 10);
}

TEST(ParseProcessTree, AZombiesThreadIsItself) {
  const std::string zombie = Number(1, 11) + Number(2, 10) + Number(3, 10) + Number(4, 9) + Number(5, 80);
  const Result<std::vector<ProcessTreeEntry>> tree = ParseProcessTree(Image({zombie}));
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(tree->at(0).threads, (std::vector<int32_t>{11}));
}

// A mapping in mm-PID.img, with fields that we know nothing of around ours.
std::string Vma(uint64_t start, uint64_t end, uint32_t flags, const std::string& rest = "") {
  return Bytes(14, Number(1, start) + Number(2, end) + Number(3, 4096) + Number(4, 77) + Number(5, 3) +
                       Number(6, flags) + Number(7, 513) + Number(8, 1) + rest);
}
std::string MemoryImage(const std::string& vmas) {
  return Image({Number(1, 111) + Number(9, 0x5555) + vmas + Number(15, 1)});
}
MappingDetail Detail(uint64_t start, uint64_t end, std::vector<std::string> flags) {
  MappingDetail detail;
  detail.mapping.start = start;
  detail.mapping.end = end;
  detail.flags = std::move(flags);
  return detail;
}

constexpr uint32_t kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;

TEST(CorrectMappingFlags, NothingToCorrectKeepsEveryField) {
  const std::string image = MemoryImage(Vma(0x1000, 0x3000, kAnonymous));
  const Result<std::string> same = CorrectMappingFlags(image, {Detail(0x1000, 0x3000, {"rd", "wr", "mr"})});
  ASSERT_TRUE(same) << same.error().message;
  EXPECT_EQ(same->size(), image.size());
  // Fields that we do not know come after the others, which means the same.
  EXPECT_EQ(CorrectMappingFlags(*same, {}).value(), *same);
  EXPECT_NE(same->find(Number(9, 0x5555)), std::string::npos);
  EXPECT_NE(same->find(Number(4, 77)), std::string::npos);
}

TEST(CorrectMappingFlags, SetsAndClearsWhatTheKernelShows) {
  const std::string image = MemoryImage(Vma(0x1000, 0x2000, kAnonymous) +
                                        Vma(0x2000, 0x3000, kAnonymous | MAP_LOCKED | MAP_NORESERVE));
  const Result<std::string> corrected = CorrectMappingFlags(
      image, {Detail(0x1000, 0x2000, {"rd", "lo", "nr", "gd"}), Detail(0x2000, 0x3000, {"rd"})});
  ASSERT_TRUE(corrected) << corrected.error().message;
  EXPECT_NE(corrected->find(Number(6, kAnonymous | MAP_LOCKED | MAP_NORESERVE | MAP_GROWSDOWN)),
            std::string::npos);
  EXPECT_NE(corrected->find(Number(6, kAnonymous) + Number(7, 513)), std::string::npos);
}

TEST(CorrectMappingFlags, EveryAdviceIsABitOfItsNumber) {
  const struct {
    const char* flag;
    int advice;
  } kAdvice[] = {{"sr", MADV_SEQUENTIAL}, {"rr", MADV_RANDOM},    {"dc", MADV_DONTFORK},
                 {"dd", MADV_DONTDUMP},   {"mg", MADV_MERGEABLE}, {"hg", MADV_HUGEPAGE},
                 {"nh", MADV_NOHUGEPAGE}};
  for (const auto& [flag, advice] : kAdvice) {
    const Result<std::string> corrected = CorrectMappingFlags(MemoryImage(Vma(0x1000, 0x2000, kAnonymous)),
                                                              {Detail(0x1000, 0x2000, {"rd", flag})});
    ASSERT_TRUE(corrected);
    EXPECT_NE(corrected->find(Number(9, 1ull << advice)), std::string::npos) << flag;
  }
}

TEST(CorrectMappingFlags, AdviceThatIsGoneIsTakenBack) {
  const std::string image = MemoryImage(Vma(0x1000, 0x2000, kAnonymous, Number(9, 1ull << MADV_HUGEPAGE)));
  const Result<std::string> corrected = CorrectMappingFlags(image, {Detail(0x1000, 0x2000, {"rd"})});
  ASSERT_TRUE(corrected);
  EXPECT_EQ(corrected->find(Number(9, 1ull << MADV_HUGEPAGE)), std::string::npos);
}

TEST(CorrectMappingFlags, AMappingThatCriuCutIsFoundByWhereItLies) {
  // The guard gap below a stack: CRIU's mapping begins inside of the kernel's.
  const std::string image = MemoryImage(Vma(0x3000, 0x8000, kAnonymous) + Vma(0x9000, 0xa000, kAnonymous));
  const Result<std::string> corrected = CorrectMappingFlags(image, {Detail(0x2000, 0x8000, {"rd", "lo"})});
  ASSERT_TRUE(corrected);
  EXPECT_NE(corrected->find(Number(6, kAnonymous | MAP_LOCKED)), std::string::npos);
  EXPECT_NE(corrected->find(Number(6, kAnonymous) + Number(7, 513)), std::string::npos)
      << "the other is untouched";
}

TEST(CorrectMappingFlags, RefusesADamagedImage) {
  EXPECT_EQ(CorrectMappingFlags("short", {}).error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(CorrectMappingFlags(Image({}), {}).error().kind, ErrorKind::kCorrupt);
}

// Bytes changed at random: read or refused, and nothing worse.
TEST(CriuImages, SurviveChangedBytes) {
  const char* given = ::getenv("HOLDFAST_TEST_SEED");
  const uint64_t seed = given != nullptr ? ::strtoull(given, nullptr, 10) : std::random_device{}();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::string pagemap = SerializePagemap({2, {{0x1000, 1}, {0x3000, 2}, {0x10000, 100}}});
  const std::string memory = MemoryImage(Vma(0x1000, 0x3000, kAnonymous) + Vma(0x5000, 0x6000, kAnonymous));
  const std::string tree =
      Image({Number(1, 10) + Number(5, 10), Number(1, 11) + Number(2, 10) + Number(5, 11)});
  const std::string core =
      Image({Bytes(2, Bytes(2, Number(20, 0x1000))) + Bytes(5, Bytes(15, Number(1, 5)))});
  const std::string stats = Image({Bytes(1, Number(1, 1) + Number(2, 2))});
  const auto change = [&](std::string bytes) {
    for (uint64_t i = 0; i <= random() % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    return bytes;
  };
  const auto kind_of = [](const auto& result) { return result ? ErrorKind::kCorrupt : result.error().kind; };
  for (int round = 0; round < 500; ++round) {
    EXPECT_EQ(kind_of(ParsePagemap(change(pagemap), "p")), ErrorKind::kCorrupt);
    EXPECT_EQ(kind_of(CorrectMappingFlags(change(memory), {Detail(0x1000, 0x3000, {"lo", "hg"})})),
              ErrorKind::kCorrupt);
    EXPECT_EQ(kind_of(ParseProcessTree(change(tree))), ErrorKind::kCorrupt);
    EXPECT_EQ(kind_of(ParseThread(change(core), "c")), ErrorKind::kCorrupt);
    EXPECT_EQ(kind_of(ParseFreezeMs(change(stats))), ErrorKind::kCorrupt);
  }
}

}  // namespace
}  // namespace holdfast
