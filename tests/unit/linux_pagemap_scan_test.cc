// Which pages of a process are memory of its own. Each case is one thing that a program can do to a page.
#include "linux/pagemap_scan.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/page.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr size_t kHugeBytes = 2 << 20;

// A mapping of our own, unmapped when it goes. Small pages unless said otherwise.
class TestMemory {
 public:
  explicit TestMemory(size_t pages, int fd = -1, int flags = MAP_PRIVATE)
      : bytes_(pages * kPageBytes),
        start_(static_cast<char*>(
            ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0))) {
    EXPECT_NE(start_, MAP_FAILED);
    ::madvise(start_, bytes_, MADV_NOHUGEPAGE);
  }
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory() { ::munmap(start_, bytes_); }

  void Write(size_t page, char value = 'x') { *const_cast<volatile char*>(Page(page)) = value; }
  char Read(size_t page) const { return *const_cast<volatile const char*>(Page(page)); }
  char* Page(size_t page) const { return start_ + page * kPageBytes; }
  size_t bytes() const { return bytes_; }

  // The pages that the scanner finds in `pid`, by number.
  std::vector<size_t> Found(pid_t pid = ::getpid()) const {
    std::vector<size_t> pages;
    for (const PageRegion& region : Regions(pid)) {
      for (uint64_t at = region.start; at < region.end; at += kPageBytes)
        pages.push_back((at - Start()) / kPageBytes);
    }
    return pages;
  }
  std::vector<PageRegion> Regions(pid_t pid = ::getpid()) const {
    const Result<PagemapScanner> scanner = PagemapScanner::Open(pid);
    if (!scanner) {
      ADD_FAILURE() << scanner.error().message;
      return {};
    }
    Result<std::vector<PageRegion>> regions = scanner->PrivatePages(Start(), Start() + bytes_);
    if (regions) return *std::move(regions);
    ADD_FAILURE() << regions.error().message;
    return {};
  }
  uint64_t Start() const { return reinterpret_cast<uint64_t>(start_); }

 private:
  size_t bytes_;
  char* start_;
};

// An unlinked file with `pages` pages of text.
Fd FileOfPages(size_t pages) {
  std::string pattern = ::testing::TempDir() + "holdfast-pages-XXXXXX";
  Fd file(::mkstemp(pattern.data()));
  ::unlink(pattern.c_str());
  const std::string text(pages * kPageBytes, 'f');
  EXPECT_EQ(::write(file.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return file;
}

TEST(PrivatePages, UntouchedOnesAreNone) {
  const TestMemory memory(8);
  EXPECT_THAT(memory.Found(), IsEmpty());
}

TEST(PrivatePages, WrittenOnesAreFoundAndNeighboursAreOneRegion) {
  TestMemory memory(8);
  for (const size_t page : {1U, 2U, 3U, 7U}) memory.Write(page);
  EXPECT_THAT(memory.Found(), ElementsAre(1, 2, 3, 7));
  const std::vector<PageRegion> regions = memory.Regions();
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].bytes(), 3 * kPageBytes);
  EXPECT_EQ(regions[0].categories & kPageHuge, 0U);
}

TEST(PrivatePages, ReadButNeverWrittenIsTheSharedZeroPageAndNone) {
  const TestMemory memory(4);
  EXPECT_EQ(memory.Read(2), 0);
  EXPECT_THAT(memory.Found(), IsEmpty());
}

TEST(PrivatePages, WrittenWithZerosIsAPage) {
  TestMemory memory(4);
  memory.Write(2, 0);
  EXPECT_THAT(memory.Found(), ElementsAre(2));
}

TEST(PrivatePages, GivenBackIsNone) {
  TestMemory memory(4);
  for (size_t page = 0; page < 4; ++page) memory.Write(page);
  ASSERT_EQ(::madvise(memory.Page(1), 2 * kPageBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(memory.Found(), ElementsAre(0, 3));
}

TEST(PrivatePages, OfAPrivateFileMappingOnlyTheCopiedOnes) {
  const Fd file = FileOfPages(4);
  TestMemory memory(4, file.get());
  EXPECT_EQ(memory.Read(0), 'f');
  memory.Write(2);
  EXPECT_THAT(memory.Found(), ElementsAre(2));
}

TEST(PrivatePages, SharedMemoryIsNone) {
  TestMemory memory(4, -1, MAP_SHARED);
  memory.Write(1);
  EXPECT_THAT(memory.Found(), IsEmpty());
}

TEST(PrivatePages, WithoutAccessTheyAreFoundAllTheSame) {
  TestMemory memory(4);
  memory.Write(1);
  ASSERT_EQ(::mprotect(memory.Page(0), memory.bytes(), PROT_NONE), 0);
  EXPECT_THAT(memory.Found(), ElementsAre(1));
}

TEST(PrivatePages, OfAnotherProcess) {
  TestMemory memory(4);
  memory.Write(0);
  const ChildProcess child([&] { memory.Write(3); });
  EXPECT_THAT(memory.Found(child.pid()), ElementsAre(0, 3));
  EXPECT_THAT(memory.Found(), ElementsAre(0));
}

TEST(PrivatePages, MoreRegionsThanOneCallReturns) {
  constexpr size_t kPages = 6000;
  TestMemory memory(kPages);
  for (size_t page = 0; page < kPages; page += 2) memory.Write(page);
  const std::vector<size_t> found = memory.Found();
  ASSERT_EQ(found.size(), kPages / 2);
  for (size_t i = 0; i < found.size(); ++i) ASSERT_EQ(found[i], 2 * i);
}

TEST(PrivatePages, OnlyThoseInTheRangeAreFound) {
  TestMemory memory(8);
  for (size_t page = 0; page < 8; ++page) memory.Write(page);
  const PagemapScanner scanner = PagemapScanner::Open(::getpid()).value();
  const std::vector<PageRegion> regions =
      scanner.PrivatePages(memory.Start() + 2 * kPageBytes, memory.Start() + 4 * kPageBytes).value();
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_EQ(regions[0].start, memory.Start() + 2 * kPageBytes);
  EXPECT_EQ(regions[0].bytes(), 2 * kPageBytes);
  EXPECT_THAT(scanner.PrivatePages(memory.Start(), memory.Start()).value(), IsEmpty());
}

TEST(PrivatePages, AHolesPagesAreNone) {
  TestMemory memory(6);
  for (size_t page = 0; page < 6; ++page) memory.Write(page);
  ASSERT_EQ(::munmap(memory.Page(2), 2 * kPageBytes), 0);
  EXPECT_THAT(memory.Found(), ElementsAre(0, 1, 4, 5));
}

TEST(PrivatePages, HugePagesAreTold) {
  TestMemory memory(2 * kHugeBytes / kPageBytes);
  char* const huge = memory.Page(0) + (kHugeBytes - memory.Start() % kHugeBytes) % kHugeBytes;
  if (::madvise(huge, kHugeBytes, MADV_HUGEPAGE) != 0)
    GTEST_SKIP() << "no transparent huge pages in this kernel";
  *const_cast<volatile char*>(huge) = 1;
  constexpr int kMadviseCollapse = 25;  // Linux 6.1
  if (::madvise(huge, kHugeBytes, kMadviseCollapse) != 0) GTEST_SKIP() << "the kernel has no huge page free";
  const std::vector<PageRegion> regions = memory.Regions();
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_EQ(regions[0].start, reinterpret_cast<uint64_t>(huge));
  EXPECT_EQ(regions[0].bytes(), kHugeBytes);
  EXPECT_NE(regions[0].categories & kPageHuge, 0U);
}

TEST(PrivatePages, GuardsAreNone) {
  constexpr int kMadviseGuardInstall = 102;  // Linux 6.13
  TestMemory memory(6);
  for (size_t page = 0; page < 6; ++page) memory.Write(page);
  if (::madvise(memory.Page(2), 2 * kPageBytes, kMadviseGuardInstall) != 0) {
    GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL";
  }
  EXPECT_THAT(memory.Found(), ElementsAre(0, 1, 4, 5));
}

// linux/userfaultfd.h of Linux 6.7; Debian 12's headers are older.
struct UffdApi {
  uint64_t api;
  uint64_t features;
  uint64_t ioctls;
};
struct UffdRegister {
  uint64_t start;
  uint64_t bytes;
  uint64_t mode;
  uint64_t ioctls;
};
struct UffdWriteProtect {
  uint64_t start;
  uint64_t bytes;
  uint64_t mode;
};
constexpr unsigned long kUffdApi = _IOWR(0xAA, 0x3F, UffdApi);
constexpr unsigned long kUffdRegister = _IOWR(0xAA, 0x00, UffdRegister);
constexpr unsigned long kUffdWriteProtect = _IOWR(0xAA, 0x06, UffdWriteProtect);
constexpr uint64_t kWpUnpopulated = 1 << 13;
constexpr uint64_t kWpAsync = 1 << 15;
constexpr uint64_t kModeWp = 2;

// A userfaultfd that watches writes to `memory`; invalid where the kernel has none.
Fd WatchWrites(const TestMemory& memory) {
  Fd uffd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC)));
  UffdApi api{0xAA, kWpAsync | kWpUnpopulated, 0};
  UffdRegister range{memory.Start(), memory.bytes(), kModeWp, 0};
  if (!uffd.valid() || ::ioctl(uffd.get(), kUffdApi, &api) != 0 ||
      ::ioctl(uffd.get(), kUffdRegister, &range) != 0) {
    return {};
  }
  return uffd;
}

bool Arm(const Fd& uffd, const TestMemory& memory) {
  UffdWriteProtect protect{memory.Start(), memory.bytes(), 1};
  return ::ioctl(uffd.get(), kUffdWriteProtect, &protect) == 0;
}

// Rule 3: what a watched page of a private file mapping leaves when it is given back is a marker in the page
// table, which PAGEMAP_SCAN calls swapped.
TEST(PrivatePages, AMarkerInAWatchedFileMappingIsNone) {
  const Fd file = FileOfPages(6);
  TestMemory memory(6, file.get());
  const Fd uffd = WatchWrites(memory);
  if (!uffd.valid()) GTEST_SKIP() << "no userfaultfd with WP_ASYNC here";
  for (const size_t page : {1U, 2U, 4U}) memory.Write(page);
  ASSERT_TRUE(Arm(uffd, memory));
  ASSERT_EQ(::madvise(memory.Page(2), 2 * kPageBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(memory.Found(), ElementsAre(1, 4));
  EXPECT_EQ(memory.Read(2), 'f');
}

TEST(PrivatePages, AWatchedAnonymousMappingShowsWhatWasWritten) {
  TestMemory memory(6);
  const Fd uffd = WatchWrites(memory);
  if (!uffd.valid()) GTEST_SKIP() << "no userfaultfd with WP_ASYNC here";
  memory.Write(1);
  ASSERT_TRUE(Arm(uffd, memory));  // marks the untouched ones, too
  memory.Write(3);
  ASSERT_EQ(::madvise(memory.Page(1), kPageBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(memory.Found(), ElementsAre(3));
}

TEST(Guards, AreFoundAmongPages) {
  constexpr int kMadviseGuardInstall = 102;  // Linux 6.13
  TestMemory memory(8);
  for (size_t page = 0; page < 4; ++page) memory.Write(page);
  const PagemapScanner scanner = PagemapScanner::Open(::getpid()).value();
  EXPECT_THAT(scanner.Guards(memory.Start(), memory.Start() + memory.bytes()).value(), IsEmpty());
  if (::madvise(memory.Page(2), 3 * kPageBytes, kMadviseGuardInstall) != 0) {
    GTEST_SKIP() << "this kernel has no MADV_GUARD_INSTALL";
  }
  const std::vector<PageRegion> guards =
      scanner.Guards(memory.Start(), memory.Start() + memory.bytes()).value();
  ASSERT_EQ(guards.size(), 1U);
  EXPECT_EQ(guards[0].start, reinterpret_cast<uint64_t>(memory.Page(2)));
  EXPECT_EQ(guards[0].bytes(), 3 * kPageBytes);
}

class WatchedPages : public ::testing::Test {
 protected:
  void SetUp() override {
    uffd_ = WatchWrites(memory_);
    if (!uffd_.valid()) GTEST_SKIP() << "no userfaultfd with WP_ASYNC here";
  }
  std::vector<size_t> Numbers(const Result<std::vector<PageRegion>>& regions) const {
    std::vector<size_t> pages;
    for (const PageRegion& region : *regions) {
      for (uint64_t at = region.start; at < region.end; at += kPageBytes)
        pages.push_back((at - memory_.Start()) / kPageBytes);
    }
    return pages;
  }

  TestMemory memory_{8};
  Fd uffd_;
  const uint64_t start_ = memory_.Start();
  const uint64_t end_ = memory_.Start() + memory_.bytes();
  const PagemapScanner scanner_ = PagemapScanner::Open(::getpid()).value();
};

TEST_F(WatchedPages, TheLongWayTellsTheSame) {
  for (const size_t page : {0U, 2U, 3U, 5U, 6U}) memory_.Write(page);
  ASSERT_TRUE(scanner_.Protect(start_, end_));
  memory_.Write(3);
  memory_.Write(7);
  ASSERT_EQ(::madvise(memory_.Page(5), kPageBytes, MADV_DONTNEED), 0);
  EXPECT_THAT(Numbers(scanner_.Unprotected(start_, end_)), ElementsAre(1, 3, 4, 5, 7));
  EXPECT_THAT(Numbers(scanner_.UnprotectedByPlaces(start_, end_)), ElementsAre(1, 3, 4, 5, 7));
  ASSERT_EQ(::munmap(memory_.Page(0), memory_.bytes()), 0);
  EXPECT_THAT(Numbers(scanner_.UnprotectedByPlaces(start_, end_)), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
}

TEST_F(WatchedPages, AreRegistered) {
  EXPECT_TRUE(scanner_.IsRegistered(start_).value());
  TestMemory other(2);
  EXPECT_FALSE(scanner_.IsRegistered(other.Start()).value());
  uffd_.Reset();
  EXPECT_FALSE(scanner_.IsRegistered(start_).value());
}

TEST_F(WatchedPages, ThatAreWrittenAreFoundUntilTheyAreProtected) {
  for (const size_t page : {1U, 2U, 5U}) memory_.Write(page);
  EXPECT_FALSE(scanner_.HasProtected(start_, end_).value());
  EXPECT_THAT(Numbers(scanner_.UnprotectedPages(start_, end_)), ElementsAre(1, 2, 5));
  EXPECT_THAT(Numbers(scanner_.Protect(start_, end_)), ElementsAre(1, 2, 5));
  EXPECT_TRUE(scanner_.HasProtected(start_, end_).value());
  EXPECT_THAT(Numbers(scanner_.UnprotectedPages(start_, end_)), IsEmpty());
  EXPECT_THAT(Numbers(scanner_.Protect(start_, end_)), IsEmpty());
  memory_.Write(2);
  memory_.Write(6);
  EXPECT_THAT(Numbers(scanner_.UnprotectedPages(start_, end_)), ElementsAre(2, 6));
}

TEST_F(WatchedPages, TheQuickLookTakesEmptyPlacesForUnprotected) {
  for (const size_t page : {1U, 2U, 5U}) memory_.Write(page);
  ASSERT_TRUE(scanner_.Protect(start_, end_));
  ASSERT_EQ(::madvise(memory_.Page(5), kPageBytes, MADV_DONTNEED), 0);
  memory_.Write(2);
  EXPECT_THAT(Numbers(scanner_.Unprotected(start_, end_)), ElementsAre(0, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(Numbers(scanner_.UnprotectedPages(start_, end_)), ElementsAre(2));
}

TEST_F(WatchedPages, ThePageOfZerosIsProtectedAndTold) {
  EXPECT_EQ(memory_.Read(3), 0);
  const std::vector<PageRegion> regions = scanner_.Protect(start_, end_).value();
  ASSERT_EQ(regions.size(), 1U);
  EXPECT_NE(regions[0].categories & kPageZeroFrame, 0U);
  EXPECT_THAT(Numbers(scanner_.UnprotectedPages(start_, end_)), IsEmpty());
}

TEST(PagemapScanner, AProcessThatIsGoneIsNotFound) {
  EXPECT_EQ(PagemapScanner::Open(DeadPid()).error().kind, ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
