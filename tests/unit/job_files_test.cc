// The files of a job that are not its record: written whole, appended to, shown.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "job/log_files.h"
#include "linux/atomic_file.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

TEST(WriteFileAtomically, ReplacesWholeAndLeavesNothingBeside) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "file";
  ASSERT_OK(WriteFileAtomically(path, "one"));
  ASSERT_OK(WriteFileAtomically(path, std::string(100'000, 'x')));
  EXPECT_EQ(ReadWholeFile(path), std::string(100'000, 'x'));
  ASSERT_OK(WriteFileAtomically(path, ""));
  EXPECT_EQ(ReadWholeFile(path), "");
  EXPECT_EQ(CountFiles(directory.path()), 1U);
}

TEST(WriteFileAtomically, FailingLeavesWhatWasThere) {
  const TemporaryDirectory directory;
  EXPECT_EQ(WriteFileAtomically(directory.path() / "missing/file", "x").error().kind, ErrorKind::kNotFound);
  std::filesystem::create_directory(directory.path() / "folder");
  EXPECT_FALSE(WriteFileAtomically(directory.path() / "folder", "x"));
  EXPECT_EQ(CountFiles(directory.path()), 0U);
}

TEST(Logs, AreAppendedToAndBegunAnewWhenTold) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "output.log";
  const auto write = [&](bool fresh, const std::string& text) {
    const Fd log = OpenLog(path, fresh).value();
    EXPECT_EQ(::write(log.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  write(true, "one ");
  write(false, "two");
  EXPECT_EQ(ReadWholeFile(path), "one two");
  write(true, "new");
  EXPECT_EQ(ReadWholeFile(path), "new");
}

TEST(Logs, AreNotFollowedThroughALink) {
  const TemporaryDirectory directory;
  WriteWholeFile(directory.path() / "precious", "x");
  std::filesystem::create_symlink("precious", directory.path() / "output.log");
  EXPECT_FALSE(OpenLog(directory.path() / "output.log", true));
  EXPECT_EQ(ReadWholeFile(directory.path() / "precious"), "x");
}

TEST(Logs, AreCopiedFromAnOffset) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "stdout.log";
  const Fd shown(::memfd_create("shown", MFD_CLOEXEC));
  WriteWholeFile(path, std::string(300'000, 'a') + "end");
  EXPECT_EQ(CopyLog({path, shown.get()}, 299'999).value(), 300'003U);
  EXPECT_EQ(ReadWholeFile("/proc/self/fd/" + std::to_string(shown.get())), "aend");
  EXPECT_EQ(CopyLog({path, shown.get()}, 999'999).value(), 300'003U) << "it was taken back by a resume";
  EXPECT_EQ(CopyLog({directory.path() / "missing", shown.get()}, 0).error().kind, ErrorKind::kNotFound);
}

TEST(Logs, AreFollowedUntilTheEndOfTheJob) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "stdout.log";
  const Fd shown(::memfd_create("shown", MFD_CLOEXEC));
  const Fd log = OpenLog(path, true).value();
  const std::unique_ptr<JobOutput> output = FollowLogs({{path, shown.get()}}, {0}).value();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(::write(log.get(), "line\n", 5), 5);
  output->Finish();  // all that is there
  EXPECT_EQ(ReadWholeFile("/proc/self/fd/" + std::to_string(shown.get())).size(), 500U);
}

TEST(SameOpenFile, IsWhatDupMakesAndNotASecondOpen) {
  const TemporaryDirectory directory;
  const Fd file = OpenLog(directory.path() / "a", true).value();
  const Fd copy(::dup(file.get()));
  const Fd other = OpenLog(directory.path() / "b", true).value();
  EXPECT_TRUE(SameOpenFile(file.get(), copy.get()));
  EXPECT_FALSE(SameOpenFile(file.get(), other.get()));
}

}  // namespace
}  // namespace holdfast
