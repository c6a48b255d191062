// A process whose memory is missing, and a page server that brings it while the process does this and that.
// Each subject checks for itself, by its own instructions and system calls, and says by its exit status what
// it saw.
#include "memory/page_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <utility>

#include "linux/missing_pages.h"
#include "linux/pidfd.h"
#include "memory/drain.h"
#include "memory_test_support.h"

namespace holdfast {
namespace {

constexpr size_t kPages = 2048;
constexpr uint64_t kSeed = 7;

class PageServerTest : public MemoryStoreTest {
 protected:
  void SetUp() override {
    MemoryStoreTest::SetUp();
    dead_.Kill();
    for (size_t page = 0; page < kPages; ++page) memory_.Fill(page, kSeed);
    Result<std::vector<Extent>> extents =
        DrainProcess(getpid(), {{.address = memory_.start(), .bytes = memory_.bytes()}}, *pending_, nullptr,
                     NotAdvanced, nullptr);
    ASSERT_OK(extents);
    SortExtents(*extents);
    manifest_ = Commit(*std::move(extents));
    Result<FillJournal> journal = FillJournal::Make();
    ASSERT_OK(journal);
    journal_.emplace(*std::move(journal));
  }

  // In the subject: async-signal-safe, as other threads were there when it was forked.
  bool IsRight(size_t page) const { return IsRightAt(page, memory_.Page(page)); }
  bool IsRightAt(size_t page, const char* at) const {
    uint64_t state = kSeed * 0x9e37'79b9'7f4a'7c15 + page + 1;
    for (size_t i = 0; i < kPageBytes / sizeof(uint64_t); ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      uint64_t word = 0;
      std::memcpy(&word, at + i * sizeof word, sizeof word);
      if (word != (i % 2 == 0 ? state : kSeed)) return false;
    }
    return true;
  }
  bool AreRight(size_t from, size_t to) const {
    for (size_t page = from; page < to; ++page) {
      if (!IsRight(page)) return false;
    }
    return true;
  }
  bool AreZeros(size_t from, size_t to) const {
    for (const char* at = memory_.Page(from); at < memory_.Page(to); ++at) {
      if (*at != 0) return false;
    }
    return true;
  }
  static bool EndedWell(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

  // Forks a process in which memory_ is missing and that then runs `body`, whose result is its exit status: 0
  // for right.
  void Start(const std::function<int()>& body) {
    int told[2];
    int go[2];
    ASSERT_EQ(pipe(told), 0);
    ASSERT_EQ(pipe(go), 0);
    subject_ = fork();
    if (subject_ == 0) {
      close(go[1]);
      if (mmap(memory_.Page(0), memory_.bytes(), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        _exit(100);
      }
      madvise(memory_.Page(0), memory_.bytes(), MADV_NOHUGEPAGE);
      const int fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
      char word = 0;
      if (write(told[1], &fd, sizeof fd) != sizeof fd || read(go[0], &word, 1) != 1) _exit(101);
      close(fd);
      _exit(body());
    }
    int fd = -1;
    ASSERT_EQ(read(told[0], &fd, sizeof fd), static_cast<ssize_t>(sizeof fd));
    const Result<Fd> pidfd = OpenPidfd(subject_);
    ASSERT_OK(pidfd);
    Result<Fd> copy = CopyDescriptor(pidfd->get(), fd);
    if (!copy) GTEST_SKIP() << copy.error().message;
    userfaultfd_ = copy->Release();  // the server closes it
    const MissingPages pages(userfaultfd_);
    ASSERT_OK(pages.Enable(MissingPages::Events::kAll));
    ASSERT_TRUE(pages.Register(memory_.start(), memory_.start() + memory_.bytes()));
    ASSERT_EQ(write(go[1], "g", 1), 1);
    for (const int end : {told[0], told[1], go[0], go[1]}) close(end);
  }

  Result<PageServerReport> Serve(const Fd& companion, std::vector<Touch> first = {}) {
    blocks_ = store_->OpenBlocks(manifest_).value();
    MissingRanges missing;
    missing.Add({memory_.start(), memory_.start() + memory_.bytes(), memory_.start()});
    const PageServerPlan plan{.manifest = manifest_,
                              .blocks = *blocks_,
                              .spaces = {{userfaultfd_, &manifest_.address_spaces.at(0), missing}},
                              .first = std::move(first)};
    return ServePages(plan, *journal_, companion.get());
  }

  void ExpectRight(const std::function<int()>& body) {
    Start(body);
    if (IsSkipped() || HasFatalFailure()) return;
    const Result<PageServerReport> report = Serve(companion_);
    ASSERT_OK(report);
    EXPECT_EQ(report->served, Served::kFilled);
    EXPECT_FALSE(MissingPages(userfaultfd_).IsOpen());
    ExpectEndedWell();
  }
  void ExpectEndedWell() {
    int status = 0;
    ASSERT_EQ(waitpid(subject_, &status, 0), subject_);
    EXPECT_TRUE(WIFEXITED(status)) << status;
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

  // Made before the subject, so that they have none of its descriptors.
  ChildProcess living_;
  ChildProcess dead_;
  Fd companion_ = OpenPidfd(living_.pid()).value();
  Fd dead_companion_ = OpenPidfd(dead_.pid()).value();
  TestMemory memory_{kPages};
  Manifest manifest_;
  std::unique_ptr<BlockReader> blocks_;
  std::optional<FillJournal> journal_;
  pid_t subject_ = -1;
  int userfaultfd_ = -1;
};

TEST_F(PageServerTest, EveryPageComes) {
  ExpectRight([&] { return AreRight(0, kPages) ? 0 : 1; });
}

TEST_F(PageServerTest, SystemCallsWaitForPages) {
  ExpectRight([&] {
    int ends[2];
    if (pipe(ends) != 0) return 1;
    std::byte page[kPageBytes];
    for (size_t i = 0; i < 100; ++i) {
      if (write(ends[1], memory_.Page(kPages - 1 - i), kPageBytes) != static_cast<ssize_t>(kPageBytes))
        return 2;
      if (read(ends[0], page, kPageBytes) != static_cast<ssize_t>(kPageBytes)) return 3;
      if (!IsRightAt(kPages - 1 - i, reinterpret_cast<const char*>(page))) return 4;
    }
    return 0;
  });
}

TEST_F(PageServerTest, DiscardedPagesAreZeros) {
  ExpectRight([&] {
    for (size_t page = 0; page < kPages; page += 64) {
      if (madvise(memory_.Page(page), 32 * kPageBytes, MADV_DONTNEED) != 0) return 1;
      if (!AreZeros(page, page + 32)) return 2;
      if (!AreRight(page + 32, page + 64)) return 3;
    }
    for (size_t page = 0; page < kPages; page += 64) {
      if (!AreZeros(page, page + 32)) return 4;
    }
    return 0;
  });
}

TEST_F(PageServerTest, MovedPagesComeWhereTheyAreNow) {
  ExpectRight([&] {
    void* const places = mmap(nullptr, memory_.bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (places == MAP_FAILED) return 3;
    for (size_t page = 0; page + 16 <= kPages; page += 16) {
      void* const moved =
          mremap(memory_.Page(page), 16 * kPageBytes, 16 * kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                 static_cast<char*>(places) + page * kPageBytes);
      if (moved == MAP_FAILED) return 1;
      for (size_t i = 0; i < 16; ++i) {
        if (!IsRightAt(page + i, static_cast<char*>(moved) + i * kPageBytes)) return 2;
      }
    }
    return 0;
  });
}

TEST_F(PageServerTest, WhatIsMappedAnewIsZeros) {
  ExpectRight([&] {
    for (size_t page = 0; page < kPages; page += 128) {
      if (munmap(memory_.Page(page), 64 * kPageBytes) != 0) return 1;
      if (mmap(memory_.Page(page), 64 * kPageBytes, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) {
        return 2;
      }
      if (!AreZeros(page, page + 64)) return 3;
    }
    for (size_t page = 0; page < kPages; page += 128) {
      if (!AreZeros(page, page + 64) || !AreRight(page + 64, page + 128)) return 4;
    }
    return 0;
  });
}

TEST_F(PageServerTest, ChildrenGetTheirPages) {
  ExpectRight([&] {
    pid_t children[4];
    for (pid_t& child : children) {
      child = fork();
      if (child == 0) {
        const pid_t grandchild = fork();
        if (grandchild == 0) _exit(AreRight(0, kPages) ? 0 : 1);
        _exit(AreRight(0, kPages) && EndedWell(grandchild) ? 0 : 1);
      }
      // Not to be seen by the child.
      madvise(memory_.Page(0), 16 * kPageBytes, MADV_DONTNEED);
      for (size_t page = 0; page < 16; ++page) memory_.Fill(page, kSeed);
    }
    for (const pid_t child : children) {
      if (!EndedWell(child)) return 1;
    }
    return AreRight(0, kPages) ? 0 : 2;
  });
}

TEST_F(PageServerTest, AProgramThatIsReplacedNeedsNothingMore) {
  ExpectRight([&] {
    if (!IsRight(kPages / 2)) return 1;
    execl("/bin/true", "true", nullptr);
    return 2;
  });
}

TEST_F(PageServerTest, AProcessThatIsKilledNeedsNothingMore) {
  Start([] {
    for (;;) pause();
    return 0;
  });
  if (IsSkipped()) return;
  kill(subject_, SIGKILL);
  waitpid(subject_, nullptr, 0);
  const Result<PageServerReport> report = Serve(companion_);
  ASSERT_OK(report);
  EXPECT_EQ(report->served, Served::kFilled);
}

// What the first server did not get to is brought by the second, which knows what the first was told.
TEST_F(PageServerTest, ASuccessorGoesOn) {
  Start([&] {
    if (madvise(memory_.Page(0), 64 * kPageBytes, MADV_DONTNEED) != 0) return 1;
    if (!IsRight(100)) return 2;
    memory_.Fill(200, kSeed + 1);
    if (madvise(memory_.Page(200), kPageBytes, MADV_DONTNEED) != 0) return 3;
    if (!AreRight(300, kPages)) return 4;
    return AreZeros(0, 64) && AreRight(64, 200) && AreZeros(200, 201) && AreRight(201, 300) ? 0 : 5;
  });
  if (IsSkipped()) return;
  bool filled = false;
  for (int servers = 0; servers < 1000 && !filled; ++servers) {
    const Result<PageServerReport> report = Serve(servers < 20 ? dead_companion_ : companion_);
    ASSERT_OK(report);
    filled = report->served == Served::kFilled;
  }
  EXPECT_TRUE(filled);
  ExpectEndedWell();
}

TEST_F(PageServerTest, TellsWhatWasTouched) {
  Start([&] { return IsRight(kPages - 1) ? 0 : 1; });
  if (IsSkipped()) return;
  const Result<PageServerReport> report = Serve(companion_, {{17, memory_.start()}, {17, 4096}});
  ASSERT_OK(report);
  for (const Touch& touch : report->touched) {
    EXPECT_EQ(touch.pid, 17);
    EXPECT_EQ(touch.address, memory_.start() + (kPages - 1) * kPageBytes);
  }
  EXPECT_LE(report->touched.size(), 1u);
  ExpectEndedWell();
}

TEST_F(PageServerTest, DamageIsAnErrorAndNeverAPage) {
  Start([&] {
    AreRight(0, kPages);
    return 0;
  });
  if (IsSkipped()) return;
  for (const auto& file : std::filesystem::directory_iterator(store_->directory() / "segments")) {
    std::fstream segment(file.path(), std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t at = 8192; at + 6 < file.file_size(); at += 16 * 1024) {
      segment.seekp(static_cast<std::streamoff>(at));
      segment.write("damage", 6);
    }
  }
  const Result<PageServerReport> report = Serve(companion_);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kCorrupt);
  kill(subject_, SIGKILL);
  waitpid(subject_, nullptr, 0);
  close(userfaultfd_);
}

}  // namespace
}  // namespace holdfast
