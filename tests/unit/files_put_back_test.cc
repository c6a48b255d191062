// What PutFilesBack does to files that changed, moved or became something else.
#include <gmock/gmock.h>

#include "files_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PutFilesBackTest : public FileCaptureTest {
 protected:
  void Take(const std::string& name, const std::string& content, const FileCaptureOptions& options = {}) {
    Checkpoint({[&] {
                 const int fd = MustOpen(Path(name), O_RDWR | O_CREAT);
                 WriteAll(fd, content);
                 Must(::fchown(fd, 1234, 4321) == 0 && ::fchmod(fd, 04750) == 0);
               }},
               options);
    ASSERT_EQ(manifest_.files.size(), 1U);
  }
  struct stat Stat(const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::lstat(Path(name).c_str(), &status), 0);
    return status;
  }
};

TEST_F(PutFilesBackTest, UnchangedFilesAreNotTouched) {
  Take("f", "content");
  const struct stat before = Stat("f");
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_THAT(*said, IsEmpty());
  const struct stat after = Stat("f");
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(before.st_ctim.tv_sec, after.st_ctim.tv_sec);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
}

TEST_F(PutFilesBackTest, ModeOwnerAndTimeComeBack) {
  Take("f", "content");
  const struct stat before = Stat("f");
  ASSERT_EQ(::chown(Path("f").c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(Path("f").c_str(), 0600), 0);
  ASSERT_EQ(::utimensat(AT_FDCWD, Path("f").c_str(), nullptr, 0), 0);
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_THAT(*said, ElementsAre(Path("f") + ": owner 1234:4321, mode 4750"));
  const struct stat after = Stat("f");
  EXPECT_EQ(after.st_uid, 1234U);
  EXPECT_EQ(after.st_gid, 4321U);
  EXPECT_EQ(after.st_mode & 07777U, 04750U);
  EXPECT_EQ(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
  EXPECT_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

TEST_F(PutFilesBackTest, MissingFileComesBackWhole) {
  Take("f", "content");
  std::filesystem::remove(Path("f"));
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_THAT(*said, ElementsAre(Path("f") + ": recreated (7 B)"));
  EXPECT_EQ(ReadWholeFile(Path("f")), "content");
  EXPECT_EQ(Stat("f").st_uid, 1234U);
  EXPECT_EQ(Stat("f").st_mode & 07777U, 04750U);
}

TEST_F(PutFilesBackTest, MissingDirectoriesComeBackWithOwnerAndMode) {
  ASSERT_TRUE(std::filesystem::create_directories(Path("sub/below")));
  ASSERT_EQ(::chmod(Path("sub").c_str(), 01750), 0);
  ASSERT_EQ(::chown(Path("sub/below").c_str(), 1234, 5678), 0);
  Take("sub/below/f", "content");
  std::filesystem::remove_all(Path("sub"));
  const auto said = PutBack();
  ASSERT_OK(said);
  EXPECT_THAT(*said, ElementsAre(Path("sub") + ": made again; it was gone",
                                 Path("sub/below") + ": made again; it was gone",
                                 Path("sub/below/f") + ": recreated (7 B)"));
  EXPECT_EQ(ReadWholeFile(Path("sub/below/f")), "content");
  EXPECT_EQ(Stat("sub").st_mode & 07777U, 01750U);
  EXPECT_EQ(Stat("sub/below").st_uid, 1234U);
  EXPECT_EQ(Stat("sub/below").st_gid, 5678U);
}

TEST_F(PutFilesBackTest, MissingDirectoryThatTheSnapshotDoesNotKnowIsNamed) {
  ASSERT_TRUE(std::filesystem::create_directory(Path("sub")));
  Take("sub/f", "content");
  std::filesystem::remove_all(Path("sub"));
  manifest_.directories.clear();
  const auto said = PutBack();
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(said.error().message, HasSubstr("its directory " + Path("sub") + " is gone"));
}

TEST_F(PutFilesBackTest, SymlinkInItsPlaceIsRefused) {
  Take("f", "content");
  WriteWholeFile(Path("victim"), "precious");
  std::filesystem::remove(Path("f"));
  std::filesystem::create_symlink(Path("victim"), Path("f"));
  const auto said = PutBack();
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().kind, ErrorKind::kUnsupported);
  EXPECT_THAT(said.error().message, HasSubstr("symbolic link"));
  EXPECT_EQ(ReadWholeFile(Path("victim")), "precious");
}

TEST_F(PutFilesBackTest, DanglingSymlinkIsRefused) {
  Take("f", "content");
  std::filesystem::remove(Path("f"));
  std::filesystem::create_symlink(Path("nowhere"), Path("f"));
  ASSERT_FALSE(PutBack());
  EXPECT_FALSE(std::filesystem::exists(Path("nowhere")));
}

TEST_F(PutFilesBackTest, SymlinkedDirectoryIsRefused) {
  ASSERT_TRUE(std::filesystem::create_directory(Path("sub")));
  ASSERT_TRUE(std::filesystem::create_directory(Path("elsewhere")));
  Take("sub/f", "content");
  std::filesystem::remove_all(Path("sub"));
  std::filesystem::create_symlink(Path("elsewhere"), Path("sub"));
  WriteWholeFile(Path("elsewhere/f"), "precious");
  ASSERT_FALSE(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("elsewhere/f")), "precious");
}

TEST_F(PutFilesBackTest, FifoInItsPlaceIsRefusedWithoutWaiting) {
  Take("f", "content");
  std::filesystem::remove(Path("f"));
  ASSERT_EQ(::mkfifo(Path("f").c_str(), 0600), 0);
  const auto said = PutBack();
  ASSERT_FALSE(said);
  EXPECT_THAT(said.error().message, HasSubstr("something else"));
}

// All is looked at before anything is changed.
TEST_F(PutFilesBackTest, RefusalChangesNothing) {
  Checkpoint({[&] {
    WriteAll(MustOpen(Path("a"), O_RDWR | O_CREAT), "first");
    WriteAll(MustOpen(Path("b"), O_RDWR | O_CREAT), "second");
  }});
  WriteWholeFile(Path("a"), "changed");
  std::filesystem::remove(Path("b"));
  std::filesystem::create_directory(Path("b"));
  ASSERT_FALSE(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("a")), "changed");
}

TEST_F(PutFilesBackTest, ContentNotKept) {
  Take("big", "0123456789", {.file_bytes_max = 5});
  WriteWholeFile(Path("big"), "0123456789 and more");
  const auto grown = PutBack();
  ASSERT_OK(grown);
  EXPECT_EQ(ReadWholeFile(Path("big")), "0123456789");
  EXPECT_THAT(*grown, ElementsAre(HasSubstr("truncated by 9 B")));
  WriteWholeFile(Path("big"), "0123");
  const auto shrunk = PutBack();
  ASSERT_FALSE(shrunk);
  EXPECT_THAT(shrunk.error().message, HasSubstr("has only 4 B now"));
  std::filesystem::remove(Path("big"));
  const auto gone = PutBack();
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message, HasSubstr("is gone now"));
}

TEST_F(PutFilesBackTest, PrefixIsPutBeforeEveryPath) {
  Take("f", "content");
  const std::string root = Path("root");
  ASSERT_TRUE(std::filesystem::create_directories(root + Path("")));
  WriteWholeFile(Path("f"), "the outer one stays");
  const auto blocks = store_->OpenBlocks(manifest_);
  ASSERT_OK(blocks);
  ASSERT_OK(PutFilesBack(manifest_.files, {}, {}, **blocks, root, nullptr));
  EXPECT_EQ(ReadWholeFile(root + Path("f")), "content");
  EXPECT_EQ(ReadWholeFile(Path("f")), "the outer one stays");
}

TEST_F(PutFilesBackTest, RecordThatMakesNoSenseIsRefused) {
  Take("f", "content");
  manifest_.files[0].bytes = uint64_t{1} << 50;
  const auto said = PutBack();
  ASSERT_FALSE(said);
  EXPECT_EQ(said.error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(ReadWholeFile(Path("f")), "content");
}

}  // namespace
}  // namespace holdfast
