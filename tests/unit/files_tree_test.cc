// Directories that belong to a snapshot as a whole: captured with the job at work, put back over whatever
// somebody has made of them.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <random>

#include "files/file_times.h"
#include "files/tree_return.h"
#include "files_test_support.h"

namespace holdfast {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

// Everything that can be told of a name but its inode and what changes by reading.
struct Seen {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  int64_t mtime_ns = 0;
  std::string content;  // of a file, or where a link leads
  std::string attribute;
  std::string first_name;  // of those that have this inode
  bool operator==(const Seen&) const = default;
};
void PrintTo(const Seen& seen, std::ostream* out) {
  *out << std::oct << seen.mode << std::dec << " " << seen.uid << ":" << seen.gid << " " << seen.mtime_ns
       << " '" << seen.content.substr(0, 40) << "' (" << seen.content.size() << ") " << seen.attribute
       << " as " << seen.first_name;
}

class FileTreeTest : public FileCaptureTest {
 protected:
  std::string Tree() const { return (directory_.path() / "data").string(); }
  FileCaptureOptions Options() const {
    FileCaptureOptions options;
    options.trees = {Tree()};
    return options;
  }
  // One checkpoint of a job that does nothing but the steps.
  void TakeTree(const std::vector<std::function<void()>>& steps = {[] {}}) {
    refresh_ = true;
    Checkpoint(steps, Options());
  }

  std::map<std::string, Seen> Look() const {
    std::map<std::string, Seen> seen;
    std::map<ino_t, std::string> names;
    const auto look = [&](const fs::path& path) {
      struct stat status {};
      EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
      Seen& one = seen[path.string()];
      one = {status.st_mode, status.st_uid, status.st_gid, Nanoseconds(status.st_mtim), "", "", ""};
      if (S_ISREG(status.st_mode)) one.content = ReadWholeFile(path);
      if (S_ISLNK(status.st_mode)) one.content = fs::read_symlink(path).string();
      std::array<char, 100> value{};
      const ssize_t length = ::lgetxattr(path.c_str(), "user.test", value.data(), value.size());
      if (length > 0) one.attribute.assign(value.data(), static_cast<size_t>(length));
    };
    look(Tree());
    std::set<std::string> paths;
    for (const auto& entry : fs::recursive_directory_iterator(Tree())) paths.insert(entry.path().string());
    for (const std::string& path : paths) {
      look(path);
      struct stat status {};
      EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
      if (S_ISREG(status.st_mode))
        seen[path].first_name = names.try_emplace(status.st_ino, path).first->second;
    }
    return seen;
  }
};

void Write(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  ASSERT_TRUE(file.good()) << path;
}

TEST_F(FileTreeTest, ComesBackOverWhateverWasMadeOfIt) {
  ASSERT_TRUE(fs::create_directories(Path("sub/empty")));
  Write(Path("same"), "the same");
  Write(Path("changed"), "as it was");
  Write(Path("sub/gone"), "will be removed");
  Write(Path("sub/becomes a directory"), "a file");
  ASSERT_TRUE(fs::create_directory(Path("becomes a file")));
  Write(Path("becomes a file/inside"), "inside");
  fs::create_hard_link(Path("changed"), Path("sub/other name"));
  fs::create_symlink("changed", Path("link"));
  fs::create_symlink("nowhere", Path("becomes another link"));
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0640), 0);
  const bool attributes = ::setxattr(Path("sub").c_str(), "user.test", "of sub", 6, 0) == 0 &&
                          ::setxattr(Path("same").c_str(), "user.test", "of same", 7, 0) == 0;
  ASSERT_TRUE(attributes || errno == ENOTSUP);
  ASSERT_EQ(::chown(Path("sub/empty").c_str(), 1234, 4321), 0);
  ASSERT_EQ(::chmod(Path("sub/empty").c_str(), 01750), 0);
  ASSERT_EQ(::chmod(Path("changed").c_str(), 04711), 0);
  {
    const int fd = MustOpen(Path("sparse"), O_RDWR | O_CREAT);
    ASSERT_EQ(::ftruncate(fd, 50 << 20), 0);
    WriteAt(fd, "in the middle", 20 << 20);
    ::close(fd);
  }
  struct stat sparse {};
  ASSERT_EQ(::stat(Path("sparse").c_str(), &sparse), 0);
  const std::map<std::string, Seen> before = Look();
  TakeTree();
  EXPECT_THAT(warnings_, IsEmpty());

  Write(Path("changed"), "something else, and longer");
  fs::remove(Path("sub/gone"));
  fs::remove(Path("sub/becomes a directory"));
  ASSERT_TRUE(fs::create_directories(Path("sub/becomes a directory/deep/er")));
  Write(Path("sub/becomes a directory/deep/er/file"), "x");
  fs::remove_all(Path("becomes a file"));
  Write(Path("becomes a file"), "x");
  fs::remove(Path("sub/other name"));
  Write(Path("sub/other name"), "a file of its own");
  fs::remove(Path("link"));
  fs::create_hard_link(Path("same"), Path("link"));
  fs::remove(Path("becomes another link"));
  fs::create_symlink("changed", Path("becomes another link"));
  fs::remove(Path("fifo"));
  fs::remove(Path("sub/empty"));
  fs::remove(Path("sparse"));
  Write(Path("came later"), "hot");
  ASSERT_EQ(::chmod(Path("sub").c_str(), 0700), 0);
  if (attributes) {
    ASSERT_EQ(::removexattr(Path("sub").c_str(), "user.test"), 0);
    ASSERT_EQ(::setxattr(Path("changed").c_str(), "user.test", "new", 3, 0), 0);
  }
  const Result<std::vector<std::string>> said = PutBack();
  ASSERT_OK(said);
  EXPECT_EQ(Look(), before);
  struct stat now {};
  ASSERT_EQ(::stat(Path("sparse").c_str(), &now), 0);
  EXPECT_LE(now.st_blocks, sparse.st_blocks + 8) << "holes were filled";
  EXPECT_THAT(*said, Contains(Path("came later") + ": removed; it came after the snapshot"));
  EXPECT_THAT(*said, Contains(HasSubstr(Path("sub/gone") + ": recreated")));
  EXPECT_THAT(*said, Contains(HasSubstr(Path("changed") + ": truncated")));
  EXPECT_THAT(*said, Contains(HasSubstr(Path("sub/empty") + ": made again")));

  const Result<std::vector<std::string>> again = PutBack();
  ASSERT_OK(again);
  EXPECT_THAT(*again, IsEmpty());
}

TEST_F(FileTreeTest, TreeThatIsGoneIsMadeAgain) {
  ASSERT_TRUE(fs::create_directories(Path("a/b")));
  Write(Path("a/b/c"), "content");
  ASSERT_EQ(::chmod(Tree().c_str(), 0711), 0);
  const std::map<std::string, Seen> before = Look();
  TakeTree();
  fs::remove_all(Tree());
  ASSERT_OK(PutBack());
  EXPECT_EQ(Look(), before);
}

// What the job does between the looks at its directory is as at the freeze.
TEST_F(FileTreeTest, IsAsAtTheFreeze) {
  std::map<std::string, Seen> frozen;
  at_freeze_ = [&] { frozen = Look(); };
  const auto write = [&](const std::string& name, const std::string& content) {
    const int fd = MustOpen(Path(name), O_WRONLY | O_CREAT | O_TRUNC);
    WriteAll(fd, content);
    ::close(fd);
  };
  Write(Path("one"), "1");
  Write(Path("two"), "2");
  TakeTree({[&] { write("three", "3"); },
            [&] {
              write("one", "one!");
              Must(::rename(Path("two").c_str(), Path("three").c_str()) == 0);
              write("four", "4");
            },
            [&] {
              write("one", "too late");
              Must(::unlink(Path("four").c_str()) == 0);
              write("five", "5");
            }});
  ASSERT_OK(PutBack());
  EXPECT_EQ(Look(), frozen);
  EXPECT_EQ(ReadWholeFile(Path("one")), "one!");
  EXPECT_EQ(ReadWholeFile(Path("three")), "2");
}

// In the very last moment, with the same size and the same time of its content.
TEST_F(FileTreeTest, ChangeWithinATickIsSeen) {
  before_freeze_ = [&] {
    struct stat status {};
    ASSERT_EQ(::stat(Path("file").c_str(), &status), 0);
    Write(Path("file"), "NEW");
    const timespec times[2] = {status.st_atim, status.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, Path("file").c_str(), times, 0), 0);
  };
  TakeTree({[&] {
              const int fd = MustOpen(Path("file"), O_WRONLY | O_CREAT);
              WriteAll(fd, "old");
              ::close(fd);
            },
            [] {}});
  Write(Path("file"), "???");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("file")), "NEW");
}

TEST_F(FileTreeTest, FileThatIsOpenIsThereOnce) {
  std::string frozen;
  TakeTree({[&] {
              const int fd = MustOpen(Path("db"), O_RDWR | O_CREAT);
              WriteAll(fd, "content of the database");
              Must(::link(Path("db").c_str(), Path("a second name").c_str()) == 0);
            },
            [] {}});
  int found = 0;
  for (const FileState& file : manifest_.files) found += file.path.starts_with(Tree()) ? 1 : 0;
  EXPECT_EQ(found, 1);
  fs::remove(Path("db"));
  Write(Path("a second name"), "broken");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("db")), "content of the database");
  EXPECT_TRUE(fs::equivalent(Path("db"), Path("a second name")));
}

// With its last write, after all that is done before the freeze.
TEST_F(FileTreeTest, FileThatIsClosedBeforeTheFreeze) {
  int fd = -1;
  const std::string before(3 * limits::kBlockBytesMax, 'a');
  std::string frozen = before;
  frozen.replace(limits::kBlockBytesMax, 3, "NEW");
  Checkpoint({[&] {
                fd = MustOpen(Path("db"), O_RDWR | O_CREAT);
                WriteAll(fd, before);
              },
              [&] {
                WriteAt(fd, "NEW", limits::kBlockBytesMax);
                ::close(fd);
              }},
             Options());
  Write(Path("db"), "broken");
  ASSERT_OK(PutBack());
  EXPECT_TRUE(ReadWholeFile(Path("db")) == frozen);
}

TEST_F(FileTreeTest, FilesThatWereSeparateAreSeparateAgain) {
  Write(Path("a"), "of a");
  Write(Path("b"), "of b");
  const std::map<std::string, Seen> before = Look();
  TakeTree();
  fs::remove(Path("b"));
  fs::create_hard_link(Path("a"), Path("b"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(Look(), before);
}

// `cp -al` keeps a state by hard links: they must not lead to what is written now.
TEST_F(FileTreeTest, LinkToTheOutsideKeepsWhatItHas) {
  Write(Path("a"), "of the snapshot");
  TakeTree();
  Write(Path("a"), "of later");
  const std::string outside = (directory_.path() / "outside").string();
  fs::create_hard_link(Path("a"), outside);
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("a")), "of the snapshot");
  EXPECT_EQ(ReadWholeFile(outside), "of later");
}

// The file that had another name is another one now, and so is that which got one since.
TEST_F(FileTreeTest, LinkToTheOutsideOfAnotherFileKeepsWhatItHas) {
  const std::string old_backup = (directory_.path() / "old backup").string();
  const std::string new_backup = (directory_.path() / "new backup").string();
  Write(Path("a"), "of the snapshot");
  fs::create_hard_link(Path("a"), old_backup);
  TakeTree();
  Write(Path("a.new"), "of later");
  fs::rename(Path("a.new"), Path("a"));
  fs::create_hard_link(Path("a"), new_backup);
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("a")), "of the snapshot");
  EXPECT_EQ(ReadWholeFile(old_backup), "of the snapshot");
  EXPECT_EQ(ReadWholeFile(new_backup), "of later");
}

TEST_F(FileTreeTest, LinkToTheOutsideThatWasThereFollows) {
  const std::string outside = (directory_.path() / "outside").string();
  Write(Path("a"), "of the snapshot");
  fs::create_hard_link(Path("a"), outside);
  TakeTree();
  Write(Path("a"), "of later");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("a")), "of the snapshot");
  EXPECT_TRUE(fs::equivalent(Path("a"), outside));
}

// A file that is too large for snapshots: it must stay, and nothing else may be changed when it has not.
class FileNotKeptTest : public FileTreeTest {
 protected:
  void SetUp() override {
    FileTreeTest::SetUp();
    Write(Path("small"), "small");
    Write(Path("tbig"), "0123456789");
    ASSERT_TRUE(fs::create_directory(Path("z")));
    fs::create_hard_link(Path("tbig"), Path("z/big"));
    FileCaptureOptions options = Options();
    options.file_bytes_max = 9;
    refresh_ = true;
    Checkpoint({[] {}}, options);
    ASSERT_EQ(warnings_.size(), 1U);
    Write(Path("later"), "later");
  }
  void ExpectRefusal(const std::string& why) {
    const std::map<std::string, Seen> before = Look();
    const Result<std::vector<std::string>> said = PutBack();
    ASSERT_FALSE(said.has_value());
    EXPECT_THAT(said.error().message, HasSubstr(why));
    EXPECT_EQ(Look(), before);
  }
  std::string Outside() const { return (directory_.path() / "outside").string(); }
};

TEST_F(FileNotKeptTest, StaysAsItIs) {
  Write(Path("small"), "other");
  fs::create_hard_link(Path("tbig"), Outside());
  fs::remove(Path("z/big"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("tbig")), "0123456789");
  EXPECT_TRUE(fs::equivalent(Path("tbig"), Outside()));
  EXPECT_TRUE(fs::equivalent(Path("tbig"), Path("z/big")));
  EXPECT_EQ(ReadWholeFile(Path("small")), "small");
  EXPECT_FALSE(fs::exists(Path("later")));
}

TEST_F(FileNotKeptTest, StaysWhereAnotherIsALinkToIt) {
  fs::remove(Path("small"));
  fs::create_hard_link(Path("tbig"), Path("small"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("tbig")), "0123456789");
  EXPECT_EQ(ReadWholeFile(Path("small")), "small");
}

TEST_F(FileNotKeptTest, IsRefusedFirstWhenItIsShorter) {
  Write(Path("tbig"), "012");
  ExpectRefusal("the snapshot does not hold its content");
}

TEST_F(FileNotKeptTest, IsRefusedFirstWhenItIsGone) {
  fs::rename(Path("tbig"), Path("moved"));
  ExpectRefusal("is gone");
}

TEST_F(FileNotKeptTest, IsRefusedFirstWhenItIsSomethingElse) {
  fs::remove(Path("z/big"));
  fs::remove(Path("tbig"));
  ASSERT_TRUE(fs::create_directory(Path("tbig")));
  ExpectRefusal("is something else now");
}

TEST_F(FileNotKeptTest, IsRefusedFirstWhenItsNamesAreTwoFiles) {
  fs::remove(Path("tbig"));
  Write(Path("tbig"), "another one, and longer");
  ExpectRefusal("is no link to");
}

TEST_F(FileNotKeptTest, IsRefusedFirstWhenSomebodyKeepsMoreOfIt) {
  Write(Path("tbig"), "0123456789 and more");
  fs::create_hard_link(Path("tbig"), Outside());
  ExpectRefusal("names outside of the directory");
}

TEST_F(FileTreeTest, LinksAreNotFollowed) {
  const fs::path outside = directory_.path() / "outside";
  ASSERT_TRUE(fs::create_directory(outside));
  Write((outside / "precious").string(), "precious");
  ASSERT_TRUE(fs::create_directory(Path("sub")));
  Write(Path("sub/precious"), "of the snapshot");
  TakeTree();
  fs::remove_all(Path("sub"));
  fs::create_directory_symlink(outside, Path("sub"));
  fs::create_directory_symlink(outside, Path("later"));
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile((outside / "precious").string()), "precious");
  EXPECT_EQ(ReadWholeFile(Path("sub/precious")), "of the snapshot");
  EXPECT_FALSE(fs::exists(fs::symlink_status(Path("later"))));
}

TEST_F(FileTreeTest, SocketsAndMountsAreLeftAlone) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(Path("socket").size(), sizeof(address.sun_path));
  Path("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_TRUE(fs::create_directories(Path("mounted")));
  if (::mount("none", Path("mounted").c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "no mounts here";
  Write(Path("mounted/inside"), "of another file system");
  TakeTree();
  Write(Path("mounted/later"), "as well");
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr(Path("mounted") + " is not in the snapshot")));
  const Result<std::vector<std::string>> said = PutBack();
  EXPECT_TRUE(fs::exists(Path("mounted/later")));
  EXPECT_TRUE(fs::is_socket(Path("socket")));
  ASSERT_EQ(::umount(Path("mounted").c_str()), 0);
  ::close(socket);
  ASSERT_OK(said);
  EXPECT_THAT(*said, IsEmpty());
}

// What is where the mount was is nothing that came after the snapshot.
TEST_F(FileTreeTest, WhatAMountHidIsLeftAlone) {
  ASSERT_TRUE(fs::create_directories(Path("data/sub")));
  Write(Path("data/sub/precious"), "precious");
  Write(Path("file"), "of the snapshot");
  if (::mount("none", Path("data").c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "no mounts here";
  TakeTree();
  ASSERT_EQ(::umount(Path("data").c_str()), 0);
  Write(Path("file"), "of later");
  fs::create_hard_link(Path("file"), Path("data/backup"));
  Write(Path("later"), "later");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("data/sub/precious")), "precious");
  EXPECT_EQ(ReadWholeFile(Path("data/backup")), "of later");
  EXPECT_EQ(ReadWholeFile(Path("file")), "of the snapshot");
  EXPECT_FALSE(fs::exists(Path("later")));
}

TEST_F(FileTreeTest, MountThatCameLaterIsNotEntered) {
  ASSERT_TRUE(fs::create_directories(Path("sub")));
  Write(Path("sub/file"), "of the snapshot");
  TakeTree();
  if (::mount("none", Path("sub").c_str(), "tmpfs", 0, "mode=0711") != 0) GTEST_SKIP() << "no mounts here";
  Write(Path("sub/file"), "of another file system");
  Write(Path("later"), "later");
  const std::map<std::string, Seen> before = Look();
  const Result<std::vector<std::string>> said = PutBack();
  const std::map<std::string, Seen> after = Look();
  ASSERT_EQ(::umount(Path("sub").c_str()), 0);
  ASSERT_FALSE(said.has_value());
  EXPECT_EQ(said.error().message,
            Path("sub") + " was a directory at the checkpoint, and something is mounted on it now");
  EXPECT_EQ(after, before);
}

TEST_F(FileTreeTest, MountInANewDirectoryIsLeft) {
  TakeTree();
  ASSERT_TRUE(fs::create_directories(Path("later/sub")));
  if (::mount("none", Path("later/sub").c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "no mounts here";
  Write(Path("later/sub/file"), "of another file system");
  const Result<std::vector<std::string>> said = PutBack();
  EXPECT_EQ(ReadWholeFile(Path("later/sub/file")), "of another file system");
  ASSERT_EQ(::umount(Path("later/sub").c_str()), 0);
  ASSERT_OK(said);
  EXPECT_THAT(*said, ElementsAre(HasSubstr("something is mounted"), HasSubstr("something is mounted")));
}

TEST_F(FileTreeTest, LinkThatIsPutThereMeanwhileIsNotFollowed) {
  const std::string outside = (directory_.path() / "outside").string();
  ASSERT_TRUE(fs::create_directory(outside));
  ASSERT_EQ(::chmod(outside.c_str(), 0700), 0);
  ASSERT_TRUE(fs::create_directory(Path("sub")));
  ASSERT_EQ(::chmod(Path("sub").c_str(), 0755), 0);
  TakeTree();
  const Fd root(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::vector<std::string> sentences;
  const FileStates files;
  ASSERT_EQ(manifest_.trees.size(), 1U);
  TreeReturn tree(manifest_.trees[0], files, root, sentences);
  ASSERT_OK(tree.Check());
  ASSERT_OK(tree.PutNames());
  fs::remove(Path("sub"));
  fs::create_directory_symlink(outside, Path("sub"));
  EXPECT_FALSE(tree.Complete().has_value());
  struct stat status {};
  ASSERT_EQ(::stat(outside.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700U);
}

// A mapping of somebody else writes to it, and in a tmpfs no time tells.
TEST_F(FileTreeTest, FileThatIsOpenForReadingIsAsAtTheFreeze) {
  if (::mount("none", Tree().c_str(), "tmpfs", 0, nullptr) != 0) GTEST_SKIP() << "no mounts here";
  Write(Path("file"), "old");
  const Fd fd(::open(Path("file").c_str(), O_RDWR | O_CLOEXEC));
  void* const mapped = ::mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  ASSERT_EQ(::madvise(mapped, 3, MADV_DONTFORK), 0);  // the job has none
  auto* const bytes = static_cast<volatile char*>(mapped);
  bytes[0] = 'O';
  at_freeze_ = [&] { bytes[0] = 'N'; };
  FileCaptureOptions options = Options();
  options.began_ms = 0;
  Checkpoint({[&] { MustOpen(Path("file"), O_RDONLY); }}, options);
  bytes[0] = '?';
  const Result<std::vector<std::string>> said = PutBack();
  const std::string now = ReadWholeFile(Path("file"));
  EXPECT_EQ(::munmap(mapped, 3), 0);
  EXPECT_EQ(::umount2(Tree().c_str(), MNT_DETACH), 0);
  ASSERT_OK(said);
  EXPECT_EQ(now, "Nld");
}

// What lets root read any file, off and on again.
class WithoutReadingAll {
 public:
  WithoutReadingAll() {
    if (::syscall(SYS_capget, &header_, &before_[0]) != 0) abort();
    __user_cap_data_struct less[2] = {before_[0], before_[1]};
    less[0].effective &= ~((1U << CAP_DAC_OVERRIDE) | (1U << CAP_DAC_READ_SEARCH));
    if (::syscall(SYS_capset, &header_, &less[0]) != 0) abort();
  }
  WithoutReadingAll(const WithoutReadingAll&) = delete;
  WithoutReadingAll& operator=(const WithoutReadingAll&) = delete;
  ~WithoutReadingAll() {
    if (::syscall(SYS_capset, &header_, &before_[0]) != 0) abort();
  }

 private:
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct before_[2]{};
};

TEST_F(FileTreeTest, FileThatCannotBeReadIsLeftOut) {
  Write(Path("secret"), "not for us");
  Write(Path("file"), "of the snapshot");
  ASSERT_EQ(::chmod(Path("secret").c_str(), 0), 0);
  {
    const WithoutReadingAll less;
    TakeTree();
  }
  ASSERT_FALSE(HasFailure());
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("the content of " + Path("secret") + " is not kept")));
  ASSERT_NE(Find(Path("secret")), nullptr);
  EXPECT_EQ(Find(Path("secret"))->bytes, 10U);
  Write(Path("file"), "of later");
  ASSERT_OK(PutBack());
  EXPECT_EQ(ReadWholeFile(Path("secret")), "not for us");
  EXPECT_EQ(ReadWholeFile(Path("file")), "of the snapshot");
}

uint64_t BytesReadByUs() {
  const std::string text = ReadFile("/proc/self/io").value_or("");
  const size_t at = text.find("rchar: ");
  return at == std::string::npos ? 0 : std::stoull(text.substr(at + 7));
}

// Neither the freeze nor a second snapshot takes longer for files that stay as they are.
TEST_F(FileTreeTest, WhatDoesNotChangeIsReadOnce) {
  struct statfs file_system {};
  ASSERT_EQ(::statfs(directory_.path().c_str(), &file_system), 0);
  if (file_system.f_type == TMPFS_MAGIC) GTEST_SKIP() << "files in a tmpfs are always compared";
  constexpr size_t kBytes = 64 * limits::kBlockBytesMax;
  const std::vector<std::byte> bytes = TestBytes(7, kBytes);
  Write(Path("large"), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  ::usleep(3 * kTickNs / 1000);  // older than a tick: it tells by its times when it changes
  uint64_t before = 0;
  uint64_t frozen = kBytes;
  at_freeze_ = [&] { before = BytesReadByUs(); };
  after_frozen_ = [&] { frozen = BytesReadByUs() - before; };
  TakeTree();
  EXPECT_LT(frozen, kBytes / 2);
  const uint64_t stored = blocks_stored_;
  EXPECT_GE(stored, kBytes / 4);  // compressed

  const Manifest parent = manifest_;
  ASSERT_EQ(parent.files.size(), 1U);
  ASSERT_NE(parent.files[0].ctime_ns, 0);
  FileCaptureOptions options = Options();
  options.parent = &parent;
  const uint64_t read_before = BytesReadByUs();
  Checkpoint({[] {}}, options);
  EXPECT_LT(BytesReadByUs() - read_before, kBytes / 2);
  EXPECT_LT(blocks_stored_, stored / 8);
  Write(Path("large"), "broken");
  ASSERT_OK(PutBack());
  EXPECT_TRUE(ReadWholeFile(Path("large")) ==
              std::string(reinterpret_cast<const char*>(bytes.data()), kBytes));

  // One byte more is one block more.
  {
    const int fd = MustOpen(Path("large"), O_RDWR);
    WriteAt(fd, "changed", 10 * limits::kBlockBytesMax);
    ::close(fd);
  }
  Checkpoint({[] {}}, options);
  EXPECT_GE(blocks_stored_, stored / 128);
  EXPECT_LT(blocks_stored_, stored / 16);
}

// Anything to anything, a few times; the seed is in the message.
TEST_F(FileTreeTest, RandomChangesComeBack) {
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  const auto below = [&](uint64_t most) { return random() % most; };
  const auto name = [&] {
    std::string path = Tree();
    for (uint64_t depth = 1 + below(3); depth > 0; --depth)
      path += "/" + std::string(1, static_cast<char>('a' + below(4)));
    return path;
  };
  const auto act = [&] {
    std::error_code error;
    const std::string path = name();
    switch (below(9)) {
      case 0:
      case 1:
        fs::create_directories(path, error);
        break;
      case 2:
      case 3: {
        std::ofstream file(path, std::ios::binary | std::ios::trunc);
        file << std::string(below(300'000), static_cast<char>('0' + below(10)));
        break;
      }
      case 4:
        fs::create_hard_link(name(), path, error);
        break;
      case 5:
        fs::create_symlink(name(), path, error);
        break;
      case 6:
        fs::rename(name(), path, error);
        break;
      case 7:
        fs::remove_all(path, error);
        break;
      default:
        if (!fs::is_symlink(path, error)) ::chmod(path.c_str(), static_cast<mode_t>(0700 | below(0100)));
    }
    fs::create_directories(Tree(), error);
  };
  for (int round = 0; round < 12; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
    for (int i = 0; i < 25; ++i) act();
    const std::map<std::string, Seen> before = Look();
    TakeTree();
    ASSERT_FALSE(HasFatalFailure());
    for (int i = 0; i < 25; ++i) act();
    ASSERT_OK(PutBack());
    ASSERT_EQ(Look(), before);
  }
}

// A file system of its own in a file, where the machine has what it takes.
class ReflinkTest : public FileCaptureTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    FileCaptureTest::SetUp();
    const std::string type = GetParam();
    const std::string image = (directory_.path() / "image").string();
    const std::string make =
        "truncate -s 400M " + image + " && mkfs." + type + " -q " + image + " >/dev/null 2>&1";
    const std::string mount = "mount -o loop " + image + " " + Path("") + " 2>/dev/null";
    if (std::system(make.c_str()) != 0) GTEST_SKIP() << "mkfs." << type << " is not installed";
    if (std::system(mount.c_str()) != 0) GTEST_SKIP() << type << " cannot be mounted from a file here";
    mounted_ = true;
  }
  void TearDown() override {
    if (!mounted_) return;
    EXPECT_EQ(::umount2(Path("").c_str(), MNT_DETACH), 0);
  }
  bool mounted_ = false;
};

TEST_P(ReflinkTest, LargeFileThatChangesIsNotReadInTheFreeze) {
  constexpr size_t kBytes = 256 * limits::kBlockBytesMax;
  const std::vector<std::byte> bytes = TestBytes(3, kBytes);
  const std::string content(reinterpret_cast<const char*>(bytes.data()), kBytes);
  std::string frozen = content;
  frozen.replace(10 * limits::kBlockBytesMax, 5, "PAGE1");
  uint64_t before = 0;
  uint64_t read = kBytes;
  int fd = -1;
  at_freeze_ = [&] { before = BytesReadByUs(); };
  after_frozen_ = [&] { read = BytesReadByUs() - before; };
  refresh_ = true;
  Checkpoint({[&] {
                fd = MustOpen(Path("db"), O_RDWR | O_CREAT);
                WriteAll(fd, content);
              },
              [&] { WriteAt(fd, "PAGE1", 10 * limits::kBlockBytesMax); },
              [&] {
                WriteAt(fd, "LATER", 20 * limits::kBlockBytesMax);
                Must(::ftruncate(fd, 100 * limits::kBlockBytesMax) == 0);
              }});
  ASSERT_NE(Find(Path("db")), nullptr);
  EXPECT_EQ(Find(Path("db"))->kept_by, "reflink");
  EXPECT_LT(read, kBytes / 2);
  ASSERT_OK(PutBack());
  EXPECT_TRUE(ReadWholeFile(Path("db")) == frozen);
  for (const auto& entry : fs::directory_iterator(Path(""))) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(name == "db" || name == "lost+found") << name << " was left";
  }
}

INSTANTIATE_TEST_SUITE_P(FileSystems, ReflinkTest, ::testing::Values("xfs", "btrfs"),
                         [](const auto& one) { return std::string(one.param); });

}  // namespace
}  // namespace holdfast
