// A process whose memory is missing, and a page server that brings it while the process does this and that.
// Each subject checks for itself, by its own instructions and system calls, and says by its exit status what
// it saw.
#include "memory/page_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/userfaultfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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
#include "linux/stopped_process.h"
#include "linux/write_protection.h"
#include "memory/drain.h"
#include "memory/remote_memory.h"
#include "memory/write_tracking.h"
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
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(go[1]);
      if (mmap(memory_.Page(0), memory_.bytes(), PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        _exit(100);
      }
      madvise(memory_.Page(0), memory_.bytes(), MADV_NOHUGEPAGE);
      int fds[2];
      for (int& fd : fds) fd = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
      char word = 0;
      if (write(told[1], fds, sizeof fds) != sizeof fds || read(go[0], &word, 1) != 1) _exit(101);
      for (const int fd : fds) close(fd);
      _exit(body());
    }
    int fds[2] = {-1, -1};
    ASSERT_EQ(read(told[0], fds, sizeof fds), static_cast<ssize_t>(sizeof fds));
    const Result<Fd> pidfd = OpenPidfd(subject_);
    ASSERT_OK(pidfd);
    Result<Fd> copy = CopyDescriptor(pidfd->get(), fds[0]);
    if (!copy) GTEST_SKIP() << copy.error().message;
    userfaultfd_ = copy->Release();  // the server closes it
    const MissingPages pages(userfaultfd_);
    if (tracked_) {
      tracking_ = CopyDescriptor(pidfd->get(), fds[1]).value();
      Result<WriteProtection> enabled = WriteProtection::Enable(std::move(tracking_));
      if (!enabled) GTEST_SKIP() << enabled.error().message;
      tracking_ = (*std::move(enabled)).Release();
    }
    ASSERT_OK(pages.Enable(tracked_ ? MissingPages::Events::kAllAndWrites : MissingPages::Events::kAll));
    ASSERT_TRUE(pages.Register(memory_.start(), memory_.start() + memory_.bytes(),
                               tracked_ ? MissingPages::Writes::kMarked : MissingPages::Writes::kNotMarked));
    ASSERT_EQ(write(go[1], "g", 1), 1);
    for (const int end : {told[0], told[1], go[0], go[1]}) close(end);
  }

  Result<PageServerReport> Serve(const Fd& companion, std::vector<Touch> first = {}) {
    blocks_ = store_->OpenBlocks(manifest_).value();
    MissingRanges missing;
    missing.Add({memory_.start(), memory_.start() + memory_.bytes(), memory_.start()});
    const PageServerPlan plan{
        .manifest = manifest_,
        .blocks = *blocks_,
        .spaces = {{userfaultfd_, &manifest_.address_spaces.at(0), missing, tracking_.get(), subject_}},
        .first = std::move(first),
        .second =
            [this] {
              return std::vector<Stretch>{{17, memory_.start() + memory_.bytes() / 2, memory_.bytes() / 4}};
            },
        .root_pid = subject_};
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

  // In the tracked subject, which is left running: whatever pages are said not to have been written to.
  void ExpectUnwrittenAreRight(size_t& unwritten_pages) {
    const Result<StoppedProcess> stopped = StoppedProcess::Stop(subject_, 10'000);
    ASSERT_OK(stopped);
    WriteTracking tracking = WriteTracking::Continue(subject_, std::move(tracking_));
    const Result<WriteTracking::Found> found = tracking.Find(memory_.MappingsOf(subject_), /*arm=*/false);
    ASSERT_OK(found);
    const RemoteMemory subject = RemoteMemory::Open(subject_).value();
    std::vector<std::byte> content(kPageBytes);
    for (const PageRun& run : found->unwritten) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kPageBytes) {
        const size_t page = (at - memory_.start()) / kPageBytes;
        ASSERT_OK(subject.Read(at, content));
        ASSERT_TRUE(IsRightAt(page, reinterpret_cast<const char*>(content.data()))) << "page " << page;
        ++unwritten_pages;
      }
    }
  }
  // An end before it is done shows as one later.
  void AwaitOrEnd(const TestMemory& done) const {
    siginfo_t ended{};
    while (done.Page(0)[0] == 0 && ended.si_pid == 0) {
      usleep(1000);
      waitid(P_PID, static_cast<id_t>(subject_), &ended, WEXITED | WNOHANG | WNOWAIT);
    }
    ASSERT_EQ(ended.si_pid, 0) << "it ended with " << ended.si_status;
  }
  void EndSubject() const {
    kill(subject_, SIGKILL);
    EXPECT_EQ(waitpid(subject_, nullptr, 0), subject_);
  }

  // Made before the subject, so that they have none of its descriptors.
  ChildProcess living_;
  ChildProcess dead_;
  Fd companion_ = OpenPidfd(living_.pid()).value();
  Fd dead_companion_ = OpenPidfd(dead_.pid()).value();
  TestMemory memory_{kPages};
  Manifest manifest_;
  std::unique_ptr<BlockReader> blocks_;
  bool tracked_ = false;  // its writes are
  Fd tracking_;
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

TEST_F(PageServerTest, WritesAreTrackedFromTheFirstOn) {
  tracked_ = true;
  const TestMemory done(1, -1, MAP_SHARED);
  Start([this, &done]() -> int {
    memory_.Page(3)[0] = 1;  // before it is there
    if (!IsRight(5) || !IsRight(6)) return 1;
    memory_.Page(5)[0] = 1;  // after
    const int zero = open("/dev/zero", O_RDONLY);
    if (read(zero, memory_.Page(7), 1) != 1) return 2;  // by the kernel
    if (mremap(memory_.Page(20), kPageBytes, kPageBytes, MREMAP_MAYMOVE | MREMAP_FIXED, memory_.Page(30)) ==
        MAP_FAILED) {
      return 3;
    }
    madvise(memory_.Page(40), kPageBytes, MADV_DONTNEED);
    if (*memory_.Page(40) != 0) return 4;
    done.Page(0)[0] = 1;
    for (;;) pause();
  });
  if (IsSkipped() || HasFatalFailure()) return;
  const Result<PageServerReport> report = Serve(companion_);
  ASSERT_OK(report);
  EXPECT_FALSE(MissingPages(userfaultfd_).IsOpen());
  ASSERT_EQ(report->tracked, std::vector<pid_t>{subject_});
  AwaitOrEnd(done);
  size_t unwritten = 0;
  ExpectUnwrittenAreRight(unwritten);
  EXPECT_EQ(unwritten, kPages - 6);  // 3, 5, 7, 20, 30, 40
  EndSubject();
}

TEST_F(PageServerTest, NoWriteIsMissedWhateverIsDone) {
  tracked_ = true;
  int tracked = 0;
  size_t unwritten = 0;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(seed);
    const TestMemory done(1, -1, MAP_SHARED);
    Start([this, &done, seed]() -> int {
      uint64_t random = seed;
      const auto next = [&random](uint64_t below) {
        random = random * 6364136223846793005 + 1442695040888963407;
        return static_cast<size_t>((random >> 33) % below);
      };
      const int zero = open("/dev/zero", O_RDONLY);
      const int permissions = PROT_READ | PROT_WRITE;
      for (int i = 0; i < 1500; ++i) {
        const size_t bytes = (1 + next(4)) * kPageBytes;
        char* const at = memory_.Page(next(kPages - 4));
        char* const to = memory_.Page(next(kPages - 4));
        switch (next(8)) {
          case 0:
            if (read(zero, at, bytes) <= 0) return 1;  // a stop may cut it short
            break;
          case 1:
            madvise(at, bytes, MADV_DONTNEED);
            break;
          case 2:
            mmap(at, bytes, permissions, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
          case 3:
            if (at + bytes > to && to + bytes > at) break;
            mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to);
            mmap(at, bytes, permissions, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            break;
          case 4:
            if (i % 50 == 0) {
              const pid_t child = fork();
              if (child == 0) _exit(0);
              waitpid(child, nullptr, 0);
            }
            break;
          case 5:
            static_cast<void>(*static_cast<volatile char*>(at));
            break;
          default:
            at[next(kPageBytes)] = static_cast<char>(i);
        }
      }
      done.Page(0)[0] = 1;
      for (;;) pause();
    });
    if (IsSkipped() || HasFatalFailure()) return;
    const Result<PageServerReport> report = Serve(companion_);
    ASSERT_OK(report);
    AwaitOrEnd(done);
    if (!report->tracked.empty()) {
      ++tracked;
      ExpectUnwrittenAreRight(unwritten);
    }
    EndSubject();
    journal_.emplace(FillJournal::Make().value());
  }
  // Else nothing was tried.
  EXPECT_GT(tracked, 0);
  EXPECT_GT(unwritten, 0U);
  RecordProperty("tracked", tracked);
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
