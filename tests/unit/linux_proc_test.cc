// What /proc says of processes that are there.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "linux/proc.h"
#include "process_test_support.h"

namespace holdfast {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(ReadTree, ParentsComeBeforeChildren) {
  pid_t* const grandchild = static_cast<pid_t*>(
      ::mmap(nullptr, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(grandchild, MAP_FAILED);
  ChildProcess child([&] {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid != 0) {
      *grandchild = pid;
      return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // killed before it could be told
    for (;;) ::pause();
  });
  EXPECT_THAT(ReadTree(child.pid()).value(), ElementsAre(child.pid(), *grandchild));
  EXPECT_THAT(ReadChildren(child.pid()).value(), ElementsAre(*grandchild));
  EXPECT_THAT(ReadTree(*grandchild).value(), ElementsAre(*grandchild));
  EXPECT_THAT(ReadTree(::getpid()).value(), Contains(*grandchild));
  ::munmap(grandchild, sizeof(pid_t));
}

TEST(ReadChildren, SeesChildrenOfOtherThreadsAndZombies) {
  std::latch started(1);
  std::latch finish(1);
  pid_t of_thread = 0;
  std::jthread thread([&] {
    of_thread = ::fork();
    if (of_thread == 0) ::_exit(0);
    started.count_down();
    finish.wait();
  });
  started.wait();
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(of_thread), &info, WEXITED | WNOWAIT), 0);
  EXPECT_THAT(ReadChildren(::getpid()).value(), Contains(of_thread));
  EXPECT_TRUE(ReadStatus(of_thread)->zombie());
  finish.count_down();
  ASSERT_EQ(::waitpid(of_thread, nullptr, 0), of_thread);
}

TEST(ReadThreads, ListsEveryThread) {
  const ChildProcess child;
  EXPECT_THAT(ReadThreads(child.pid()).value(), ElementsAre(child.pid()));
  std::latch finish(1);
  const size_t before = ReadThreads(::getpid())->size();
  std::jthread thread([&] { finish.wait(); });
  EXPECT_EQ(ReadThreads(::getpid())->size(), before + 1);
  finish.count_down();
}

TEST(ReadAllProcesses, HasUsInIt) {
  EXPECT_THAT(ReadAllProcesses().value(), Contains(::getpid()));
}

TEST(ReadStatus, DescribesALiveChild) {
  const ChildProcess child([] { ::prctl(PR_SET_NAME, "a ) b ("); });
  const Result<ProcessStatus> status = ReadStatus(child.pid());
  ASSERT_TRUE(status) << status.error().message;
  EXPECT_EQ(status->pid, child.pid());
  EXPECT_EQ(status->parent, ::getpid());
  EXPECT_EQ(status->group, ::getpgrp());
  EXPECT_EQ(status->session, ::getsid(0));
  EXPECT_EQ(status->name, "a ) b (");
  EXPECT_EQ(status->uid, ::getuid());
  EXPECT_EQ(status->namespace_pids.front(), child.pid());
  EXPECT_GT(status->resident_bytes, 0U);
  EXPECT_GT(status->start_ticks, 0U);
  EXPECT_FALSE(status->zombie());
  EXPECT_FALSE(status->kernel_thread);
}

TEST(ProcReaders, AProcessThatIsGoneIsNotFound) {
  const pid_t pid = DeadPid();
  EXPECT_EQ(ReadStatus(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadMaps(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadSmaps(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadTree(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadThreads(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadOpenFiles(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadCommandLine(pid).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(ReadNamespace(pid, "pid").error().kind, ErrorKind::kNotFound);
}

TEST(ReadMaps, ShowsWhatIsMapped) {
  void* const memory = ::mmap(nullptr, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::mprotect(memory, 3 * 4096, PROT_NONE), 0);
  const auto start = reinterpret_cast<uint64_t>(memory);
  const ChildProcess child;
  const std::vector<Mapping> mappings = ReadMaps(child.pid()).value();
  const auto found = std::find_if(mappings.begin(), mappings.end(), [&](const Mapping& mapping) {
    return mapping.start <= start && start < mapping.end;
  });
  ASSERT_NE(found, mappings.end());
  EXPECT_FALSE(found->readable || found->writable || found->executable || found->shared);
  EXPECT_GE(found->end, start + 3 * 4096U);
  EXPECT_TRUE(std::is_sorted(mappings.begin(), mappings.end(),
                             [](const Mapping& a, const Mapping& b) { return a.start < b.start; }));
  ::munmap(memory, 3 * 4096);
}

TEST(ReadSmaps, ShowsAdviceAsFlags) {
  constexpr size_t kBytes = 4096;
  void* const memory = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(::madvise(memory, kBytes, MADV_DONTFORK), 0);
  *static_cast<volatile char*>(memory) = 1;
  const auto start = reinterpret_cast<uint64_t>(memory);
  const std::vector<MappingDetail> details = ReadSmaps(::getpid()).value();
  const auto found = std::find_if(details.begin(), details.end(),
                                  [&](const MappingDetail& detail) { return detail.mapping.start == start; });
  ASSERT_NE(found, details.end());
  EXPECT_TRUE(found->Has("dc"));
  EXPECT_TRUE(found->Has("wr"));
  EXPECT_EQ(found->resident_bytes, kBytes);
  ::munmap(memory, kBytes);
}

class OpenFiles : public ::testing::Test {
 protected:
  OpenFiles() {
    std::string pattern = ::testing::TempDir() + "holdfast-proc-XXXXXX";
    file_ = Fd(::mkstemp(pattern.data()));
    path_ = pattern;
  }
  ~OpenFiles() override { ::unlink(path_.c_str()); }

  static const OpenFile* Find(const std::vector<OpenFile>& files, int fd) {
    const auto found =
        std::find_if(files.begin(), files.end(), [&](const OpenFile& file) { return file.fd == fd; });
    return found == files.end() ? nullptr : &*found;
  }

  std::string path_;
  Fd file_;
};

TEST_F(OpenFiles, AFileIsTold) {
  ASSERT_EQ(::write(file_.get(), "hello", 5), 5);
  const Fd append(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  const ChildProcess child;
  const std::vector<OpenFile> files = ReadOpenFiles(child.pid()).value();
  const OpenFile* const file = Find(files, file_.get());
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->target, path_);
  EXPECT_EQ(file->position, 5U);
  EXPECT_EQ(file->bytes, 5U);
  EXPECT_EQ(file->link_count, 1U);
  EXPECT_TRUE(file->writable());
  EXPECT_TRUE(S_ISREG(file->mode));
  struct stat status {};
  ASSERT_EQ(::fstat(file_.get(), &status), 0);
  EXPECT_EQ(file->inode, status.st_ino);
  EXPECT_EQ(file->device, status.st_dev);
  const OpenFile* const appended = Find(files, append.get());
  ASSERT_NE(appended, nullptr);
  EXPECT_NE(appended->flags & O_APPEND, 0U);
  EXPECT_TRUE(appended->writable());
}

TEST_F(OpenFiles, ADeletedFileHasNoLinks) {
  const Fd read_only(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  const std::vector<OpenFile> files = ReadOpenFiles(::getpid()).value();
  const OpenFile* const file = Find(files, read_only.get());
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->target, path_ + " (deleted)");
  EXPECT_EQ(file->link_count, 0U);
  EXPECT_FALSE(file->writable());
}

TEST_F(OpenFiles, OnlyPathsLeavesPipesOut) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reading(ends[0]);
  const Fd writing(ends[1]);
  const OpenFile* const pipe = Find(ReadOpenFiles(::getpid()).value(), reading.get());
  EXPECT_NE(pipe, nullptr);
  const std::vector<OpenFile> paths = ReadOpenPaths(::getpid()).value();
  EXPECT_EQ(Find(paths, reading.get()), nullptr);
  EXPECT_NE(Find(paths, file_.get()), nullptr);
}

TEST_F(OpenFiles, AFileWithoutAPathIsTold) {
  const Fd memory(::memfd_create("a (b) c", MFD_CLOEXEC));
  const std::vector<OpenFile> files = ReadOpenFiles(::getpid()).value();
  const OpenFile* const file = Find(files, memory.get());
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->target, "/memfd:a (b) c (deleted)");
}

TEST(ReadEnvironment, IsWhatTheProcessWasStartedWith) {
  EXPECT_THAT(ReadEnvironment(::getpid()).value(), Not(IsEmpty()));
  EXPECT_THAT(ReadCommandLine(::getpid()).value(), Not(IsEmpty()));
}

TEST(ReadWorkingDirectory, IsTheProcesss) {
  const ChildProcess child([] {
    if (::chdir("/proc") != 0) ::_exit(1);
  });
  EXPECT_EQ(ReadWorkingDirectory(child.pid()).value(), "/proc");
}

TEST(ReadNamespace, NamesItByKindAndNumber) {
  const std::string ours = ReadNamespace(::getpid(), "pid").value();
  EXPECT_TRUE(ours.starts_with("pid:["));
  const ChildProcess child;
  EXPECT_EQ(ReadNamespace(child.pid(), "pid").value(), ours);
  EXPECT_FALSE(ReadNamespace(::getpid(), "nonsense"));
}

}  // namespace
}  // namespace holdfast
