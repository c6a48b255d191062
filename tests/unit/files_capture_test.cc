// What is captured of a process's files, with the process at work before, between and after.
#include <gmock/gmock.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "files_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kBlock = limits::kBlockBytesMax;

std::string Text(uint64_t seed, size_t size) {
  const std::vector<std::byte> bytes = TestBytes(seed, size);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_F(FileCaptureTest, OverwrittenInPlaceIsAsAtTheFreeze) {
  int fd = -1;
  const std::string before = Text(1, 3 * kBlock + 100);
  std::string frozen = before;
  frozen.replace(kBlock + 7, 5, "PAGE1");
  Checkpoint({[&] {
                fd = MustOpen(Path("db"), O_RDWR | O_CREAT);
                WriteAll(fd, before);
              },
              [&] { WriteAt(fd, "PAGE1", kBlock + 7); }, [&] { WriteAt(fd, "LATER", 3); }});
  ASSERT_NE(Find(Path("db")), nullptr);
  EXPECT_TRUE(Find(Path("db"))->content_kept);
  EXPECT_FALSE(Find(Path("db"))->append_only);
  EXPECT_NE(ReadWholeFile(Path("db")), frozen);
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_EQ(ReadWholeFile(Path("db")), frozen);
  EXPECT_THAT(*said, ElementsAre(HasSubstr(Path("db") + ": rewrote 128.0 KiB of")));
  EXPECT_THAT(warnings_, IsEmpty());
}

// The times of a file that has just been written are no witness: a write within the same tick leaves them
// alone.
TEST_F(FileCaptureTest, WriteThatLeavesTheTimesAloneIsSeen) {
  int fd = -1;
  timespec times[2] = {};
  Checkpoint({[&] {
                fd = MustOpen(Path("db"), O_RDWR | O_CREAT);
                WriteAll(fd, "old content");
                struct stat status {};
                Must(::fstat(fd, &status) == 0);
                times[0] = status.st_atim;
                times[1] = status.st_mtim;
              },
              [&] {
                WriteAt(fd, "NEW", 0);
                Must(::futimens(fd, times) == 0);
              }});
  WriteWholeFile(Path("db"), "something else");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("db")), "NEW content");
}

uint64_t BytesReadByUs() {
  const std::string text = ReadFile("/proc/self/io").value_or("");
  const size_t at = text.find("rchar: ");
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + 7));
}

// The job stands still for what changed, not for what it has open.
TEST_F(FileCaptureTest, SettledFilesAreNotReadAgainAtTheFreeze) {
  struct statfs file_system {};
  ASSERT_EQ(::statfs(directory_.path().c_str(), &file_system), 0);
  if (file_system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "files in a tmpfs are always compared";
  constexpr size_t kBytes = 64 * kBlock;
  const auto cost = [&](double settled_after_seconds, const std::function<void(int fd)>& change) {
    int fd = -1;
    uint64_t before = 0;
    at_freeze_ = [&] { before = BytesReadByUs(); };
    after_frozen_ = [&] { before = BytesReadByUs() - before; };
    Checkpoint({[&] {
                  fd = MustOpen(Path("data"), O_RDWR | O_CREAT);
                  WriteAt(fd, Text(7, kBytes), 0);
                },
                [&] { change(fd); }},
               {.settled_after_seconds = settled_after_seconds});
    return before;
  };
  EXPECT_LT(cost(0, [](int) {}), kBlock);
  EXPECT_EQ(Find(Path("data"))->content.bytes, kBytes);
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("data")), Text(7, kBytes));
  EXPECT_GE(cost(0, [](int fd) { WriteAt(fd, "x", 0); }), kBytes);
  // A write may be under way whose time is set already.
  EXPECT_GE(cost(10, [](int) {}), kBytes);
}

TEST_F(FileCaptureTest, AppendOnlyIsCutWhereItWasAtTheFreeze) {
  int fd = -1;
  const std::string first = Text(2, 2 * kBlock + 10);
  Checkpoint({[&] {
                fd = MustOpen(Path("log"), O_WRONLY | O_CREAT | O_APPEND);
                WriteAll(fd, first);
              },
              [&] { WriteAll(fd, "between\n"); }, [&] { WriteAll(fd, "after\n"); }});
  ASSERT_NE(Find(Path("log")), nullptr);
  EXPECT_TRUE(Find(Path("log"))->append_only);
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_EQ(ReadWholeFile(Path("log")), first + "between\n");
  EXPECT_THAT(*said, ElementsAre(Path("log") + ": truncated by 6 B"));
  std::filesystem::remove(Path("log"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("log")), first + "between\n");
}

// Of a log that the job empties after the freeze.
class EmptiedLog : public FileCaptureTest {
 protected:
  auto Capture(const FileCaptureOptions& options) {
    pending_ = store_->Begin("job").value();
    int fd = -1;
    Subject subject({[&] {
                       fd = MustOpen(Path("log"), O_WRONLY | O_CREAT | O_APPEND);
                       WriteAll(fd, "some lines\n");
                     },
                     [&] { Must(::ftruncate(fd, 0) == 0); }});
    const auto capture = FileCapture::Prepare({subject.pid()}, *pending_, options).value();
    subject.Stop();
    EXPECT_TRUE(capture->CaptureFrozen({subject.pid()}));
    subject.Continue();
    subject.NextStep();
    return capture->Finish();
  }

 private:
  std::unique_ptr<PendingSnapshot> pending_;
};

// Finish must not take what is there then for what was there at the freeze.
TEST_F(EmptiedLog, ReadWhenTheJobRunsIsAnotherTry) {
  const auto files = Capture({.append_bytes_min = 0});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind, ErrorKind::kBusy);
  EXPECT_THAT(files.error().message, HasSubstr(Path("log")));
}

// Whoever overwrites it comes when it has been read.
TEST_F(EmptiedLog, ReadInTheFreezeIsThatOfTheFreeze) {
  EXPECT_TRUE(Capture({}));
}

TEST_F(FileCaptureTest, OneWriterWithoutAppendMakesItAnOrdinaryFile) {
  int fd = -1;
  Checkpoint({[&] {
                WriteAll(MustOpen(Path("log"), O_WRONLY | O_CREAT | O_APPEND), "0123456789");
                fd = MustOpen(Path("log"), O_WRONLY);
              },
              [&] { WriteAt(fd, "ab", 2); }, [&] { WriteAt(fd, "XYZ", 0); }});
  ASSERT_NE(Find(Path("log")), nullptr);
  EXPECT_FALSE(Find(Path("log"))->append_only);
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("log")), "01ab456789");
}

TEST_F(FileCaptureTest, TruncatedBetweenIsAsAtTheFreeze) {
  int fd = -1;
  Checkpoint({[&] {
                fd = MustOpen(Path("f"), O_RDWR | O_CREAT);
                WriteAll(fd, Text(3, 2 * kBlock));
              },
              [&] {
                Must(::ftruncate(fd, 5) == 0);
                WriteAt(fd, "12345", 0);
              },
              [&] { Must(::ftruncate(fd, 0) == 0); }});
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("f")), "12345");
}

// Only the first write to a page shows in the times; the descriptor is closed.
TEST_F(FileCaptureTest, SharedMappingWrittenWithoutMsyncAndWithoutDescriptor) {
  char* memory = nullptr;
  const std::string before = Text(4, 2 * kBlock);
  Checkpoint({[&] {
                const int fd = MustOpen(Path("map"), O_RDWR | O_CREAT);
                WriteAll(fd, before);
                memory = static_cast<char*>(
                    ::mmap(nullptr, before.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
                Must(memory != MAP_FAILED);
                ::close(fd);
                memory[0] = 'a';
              },
              [&] { memory[1] = 'b'; }, [&] { memory[2] = 'c'; }},
             {.settled_after_seconds = 0});
  ASSERT_NE(Find(Path("map")), nullptr);
  std::string frozen = before;
  frozen[0] = 'a';
  frozen[1] = 'b';
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("map")), frozen);
}

// A mapping that may not be written now was written before, and its first write is the only one that shows in
// the file's times.
TEST_F(FileCaptureTest, MappingMadeReadOnlyStillCounts) {
  char* memory = nullptr;
  Checkpoint({[&] {
                const int fd = MustOpen(Path("map"), O_RDWR | O_CREAT);
                WriteAll(fd, std::string(4096, 'x'));
                memory = static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
                Must(memory != MAP_FAILED);
                ::close(fd);
                memory[0] = 'a';
              },
              [&] {
                memory[1] = 'b';
                Must(::mprotect(memory, 4096, PROT_READ) == 0);
              }},
             {.settled_after_seconds = 0});
  ASSERT_NE(Find(Path("map")), nullptr);
  WriteWholeFile(Path("map"), std::string(4096, 'z'));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("map")), "ab" + std::string(4094, 'x'));
}

TEST_F(FileCaptureTest, NamedSharedMemoryCountsEvenWhenOnlyRead) {
  const std::string path = "/dev/shm/holdfast-test-" + std::to_string(::getpid());
  WriteWholeFile(path, "shared");
  Checkpoint({[&] {
    const int fd = MustOpen(path, O_RDONLY);
    Must(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
    ::close(fd);
  }});
  std::filesystem::remove(path);
  ASSERT_NE(Find(path), nullptr);
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(path), "shared");
  std::filesystem::remove(path);
}

TEST_F(FileCaptureTest, RenamedOverIsKnownByItsNewName) {
  int fd = -1;
  WriteWholeFile(Path("model"), "old model");
  Checkpoint({[&] {
                fd = MustOpen(Path("model.tmp"), O_RDWR | O_CREAT);
                WriteAll(fd, "new model");
              },
              [&] { Must(::rename(Path("model.tmp").c_str(), Path("model").c_str()) == 0); }});
  EXPECT_EQ(Find(Path("model.tmp")), nullptr);
  ASSERT_NE(Find(Path("model")), nullptr);
  WriteWholeFile(Path("model"), "newest model");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("model")), "new model");
}

TEST_F(FileCaptureTest, WhatIsNotOursIsLeftOut) {
  WriteWholeFile(Path("read-only"), "input");
  Checkpoint({[&] {
    MustOpen(Path("read-only"), O_RDONLY);
    MustOpen(Path("deleted"), O_RDWR | O_CREAT);
    Must(::unlink(Path("deleted").c_str()) == 0);
    MustOpen(directory_.path().string(), O_TMPFILE | O_RDWR);
    Must(::memfd_create("m", MFD_CLOEXEC) >= 0);
    Must(::mkfifo(Path("fifo").c_str(), 0600) == 0);
    MustOpen(Path("fifo"), O_RDWR);
    MustOpen("/dev/null", O_WRONLY);
    MustOpen("/proc/self/oom_score_adj", O_WRONLY);
    const int mapped = MustOpen(Path("read-only"), O_RDONLY);
    Must(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped, 0) != MAP_FAILED);
  }});
  std::vector<std::string> paths;
  for (const FileState& file : manifest_.files) paths.push_back(file.path);
  EXPECT_THAT(paths, IsEmpty());
}

TEST_F(FileCaptureTest, NameThatReallyEndsInDeleted) {
  Checkpoint({[&] { WriteAll(MustOpen(Path("odd (deleted)"), O_WRONLY | O_CREAT), "here"); }});
  EXPECT_NE(Find(Path("odd (deleted)")), nullptr);
}

TEST_F(FileCaptureTest, GoneNameOfALinkedFileIsWarnedOf) {
  Checkpoint({[&] {
    MustOpen(Path("one"), O_WRONLY | O_CREAT);
    Must(::link(Path("one").c_str(), Path("two").c_str()) == 0);
    Must(::unlink(Path("one").c_str()) == 0);
  }});
  EXPECT_THAT(manifest_.files, IsEmpty());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(Path("one"))));
}

TEST_F(FileCaptureTest, SparseFileStaysSparseAndIsNotRead) {
  constexpr off_t kSize = off_t{64} << 30;
  int fd = -1;
  Checkpoint({[&] {
                fd = MustOpen(Path("sparse"), O_RDWR | O_CREAT);
                Must(::ftruncate(fd, kSize) == 0);
                WriteAt(fd, "begin", 0);
                WriteAt(fd, "middle", kSize / 2);
              },
              [&] { WriteAt(fd, "end", kSize - 3); }, [&] { WriteAt(fd, "xx", kSize / 2); }},
             {.file_bytes_max = uint64_t{kSize}});
  const FileState* state = Find(Path("sparse"));
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->bytes, static_cast<uint64_t>(kSize));
  EXPECT_LE(manifest_.blocks.size(), 4U);
  std::filesystem::remove(Path("sparse"));
  ASSERT_OK(PutBack());
  struct stat status {};
  ASSERT_EQ(::stat(Path("sparse").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, kSize);
  EXPECT_LT(status.st_blocks * 512, off_t{1} << 20);
  std::string tail(6, '\0');
  const Fd again(::open(Path("sparse").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::pread(again.get(), tail.data(), 6, kSize / 2), 6);
  EXPECT_EQ(tail, "middle");
  ASSERT_EQ(::pread(again.get(), tail.data(), 6, kSize - 3), 3);
  EXPECT_EQ(tail.substr(0, 3), "end");
}

TEST_F(FileCaptureTest, TwoHundredFiles) {
  constexpr int kFiles = 200;
  std::vector<int> fds(kFiles);
  const auto name = [&](int i) { return Path("f" + std::to_string(i)); };
  Checkpoint({[&] {
                for (int i = 0; i < kFiles; ++i) {
                  fds[static_cast<size_t>(i)] = MustOpen(name(i), O_RDWR | O_CREAT);
                  WriteAll(fds[static_cast<size_t>(i)], "first " + std::to_string(i));
                }
              },
              [&] {
                for (int i = 0; i < kFiles; i += 2) WriteAt(fds[static_cast<size_t>(i)], "FROZE", 0);
              },
              [&] {
                for (int i = 0; i < kFiles; i += 3) WriteAt(fds[static_cast<size_t>(i)], "after", 0);
              }});
  EXPECT_EQ(manifest_.files.size(), static_cast<size_t>(kFiles));
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_EQ(said->size(), static_cast<size_t>((kFiles + 2) / 3));
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ(ReadWholeFile(name(i)), (i % 2 == 0 ? "FROZE " : "first ") + std::to_string(i));
  }
}

TEST_F(FileCaptureTest, FileOpenedAfterPrepare) {
  Checkpoint(
      {[] {}, [&] { WriteAll(MustOpen(Path("new"), O_WRONLY | O_CREAT | O_APPEND), Text(5, kBlock + 1)); }});
  std::filesystem::remove(Path("new"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("new")), Text(5, kBlock + 1));
}

// It has not changed, yet nothing of it is stored.
TEST_F(FileCaptureTest, SettledFileOpenedAfterPrepare) {
  WriteAll(MustOpen(Path("old"), O_WRONLY | O_CREAT), Text(5, 3 * kBlock));
  Checkpoint({[] {}, [&] { MustOpen(Path("old"), O_RDWR); }}, {.settled_after_seconds = 0});
  std::filesystem::remove(Path("old"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("old")), Text(5, 3 * kBlock));
}

TEST_F(FileCaptureTest, TooLargeIsKnownBySizeOnly) {
  int fd = -1;
  Checkpoint({[&] {
               fd = MustOpen(Path("big"), O_RDWR | O_CREAT);
               WriteAll(fd, std::string(1000, 'x'));
             }},
             {.file_bytes_max = 999});
  ASSERT_NE(Find(Path("big")), nullptr);
  EXPECT_FALSE(Find(Path("big"))->content_kept);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("is not kept")));
}

TEST_F(FileCaptureTest, IgnoredPrefix) {
  Checkpoint({[&] { MustOpen(Path("scratch"), O_RDWR | O_CREAT); }},
             {.file_bytes_max = 1000, .ignored = {Path("")}});
  EXPECT_THAT(manifest_.files, IsEmpty());
}

// A journal that is not open at the freeze is part of the database; one that came later must not be replayed.
TEST_F(FileCaptureTest, SqliteJournalsOfTheSnapshotStayAndLaterOnesGo) {
  const std::string database = std::string("SQLite format 3\0", 16) + Text(6, 4096 - 16);
  WriteWholeFile(Path("db-journal"), "a hot journal");
  Checkpoint({[&] {
    WriteAll(MustOpen(Path("db"), O_RDWR | O_CREAT), database);
    WriteAll(MustOpen(Path("other"), O_RDWR | O_CREAT), "no database");
  }});
  ASSERT_NE(Find(Path("db-journal")), nullptr);
  std::filesystem::remove(Path("db-journal"));
  WriteWholeFile(Path("db-wal"), "written later");
  WriteWholeFile(Path("other-wal"), "somebody else's");
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_EQ(ReadWholeFile(Path("db-journal")), "a hot journal");
  EXPECT_FALSE(std::filesystem::exists(Path("db-wal")));
  EXPECT_TRUE(std::filesystem::exists(Path("other-wal")));
  EXPECT_THAT(*said, ::testing::Contains(HasSubstr(Path("db-wal") + ": removed")));
}

TEST_F(FileCaptureTest, ProcessThatIsGoneIsPassedOver) {
  Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job");
  ASSERT_OK(pending);
  pid_t gone = 0;
  {
    gone = Subject({[] {}}).pid();
  }
  ASSERT_OK(FileCapture::Prepare({gone}, **pending, {}));
}

}  // namespace
}  // namespace holdfast
