// What the tests of file capture share: a child process that has files open and does one thing after the
// other when told to, and a checkpoint of its files from beginning to end.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "files/files.h"
#include "linux/proc.h"
#include "store_test_support.h"

namespace holdfast {

// Within the child: a step that fails ends it, and the parent's next Await fails.
inline void Must(bool ok) {
  if (!ok) ::_exit(1);
}
inline void WriteAll(int fd, const std::string& text) {
  Must(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}
inline void WriteAt(int fd, const std::string& text, off_t offset) {
  Must(::pwrite(fd, text.data(), text.size(), offset) == static_cast<ssize_t>(text.size()));
}
inline int MustOpen(const std::string& path, int flags, mode_t mode = 0644) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  Must(fd >= 0);
  return fd;
}

// A process that runs its steps one by one.
class Subject {
 public:
  // Starts the child and waits until the first step is done.
  explicit Subject(const std::vector<std::function<void()>>& steps) {
    constexpr int kAside = 500;
    int to_child[2];
    int to_parent[2];
    if (::pipe2(to_child, O_CLOEXEC) != 0 || ::pipe2(to_parent, O_CLOEXEC) != 0) abort();
    pid_ = ::fork();
    if (pid_ == 0) {
      // Only what the steps open is the job's: a test runner leaves us its log, for one.
      to_child[0] = ::fcntl(to_child[0], F_DUPFD_CLOEXEC, kAside);
      to_parent[1] = ::fcntl(to_parent[1], F_DUPFD_CLOEXEC, kAside);
      ::syscall(SYS_close_range, 3, kAside - 1, 0);
      char byte = 0;
      for (const auto& step : steps) {
        step();
        Must(::write(to_parent[1], &byte, 1) == 1);
        if (::read(to_child[0], &byte, 1) != 1) ::_exit(0);
      }
      ::_exit(0);
    }
    ::close(to_child[0]);
    ::close(to_parent[1]);
    go_.Reset(to_child[1]);
    done_.Reset(to_parent[0]);
    Await();
  }
  ~Subject() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  pid_t pid() const { return pid_; }
  void NextStep() {
    const char byte = 0;
    ASSERT_EQ(::write(go_.get(), &byte, 1), 1);
    Await();
  }
  void Stop() {
    ASSERT_EQ(::kill(pid_, SIGSTOP), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(pid_, &status, WUNTRACED), pid_);
    ASSERT_TRUE(WIFSTOPPED(status));
  }
  void Continue() { ASSERT_EQ(::kill(pid_, SIGCONT), 0); }

 private:
  void Await() {
    char byte = 0;
    ASSERT_EQ(::read(done_.get(), &byte, 1), 1) << "a step of the subject failed";
  }
  pid_t pid_ = 0;
  Fd go_;
  Fd done_;
};

// Steps of a subject: [0] before Prepare, [1] between Prepare and the freeze, [2] after the freeze, before
// Finish.
class FileCaptureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> store = Store::Open(directory_.path() / "store");
    ASSERT_OK(store);
    store_.emplace(std::move(*store));
    ASSERT_TRUE(std::filesystem::create_directory(directory_.path() / "data"));
  }

  std::string Path(const std::string& name) const { return (directory_.path() / "data" / name).string(); }

  // One checkpoint of the files of a subject; it is over (and the subject dead) when this returns.
  void Checkpoint(const std::vector<std::function<void()>>& steps, const FileCaptureOptions& options = {}) {
    Result<std::unique_ptr<PendingSnapshot>> pending = store_->Begin("job", options.parent);
    ASSERT_OK(pending);
    Subject subject(steps);
    ASSERT_FALSE(HasFailure());
    Result<std::unique_ptr<FileCapture>> capture = FileCapture::Prepare({subject.pid()}, **pending, options);
    ASSERT_OK(capture);
    if (steps.size() > 1) subject.NextStep();
    if (refresh_) ASSERT_OK((*capture)->Refresh({subject.pid()}));
    if (before_freeze_) before_freeze_();
    subject.Stop();
    if (at_freeze_) at_freeze_();
    const uint64_t stored_before = (*pending)->bytes_stored();
    ASSERT_OK((*capture)->CaptureFrozen({subject.pid()}));
    if (after_frozen_) after_frozen_();
    EXPECT_EQ((*pending)->bytes_stored(), stored_before) << "the freeze wrote to the store";
    subject.Continue();
    if (steps.size() > 2) subject.NextStep();
    Result<std::vector<FileState>> files = (*capture)->Finish();
    ASSERT_OK(files);
    warnings_ = (*capture)->warnings();
    Manifest manifest;
    manifest.files = std::move(*files);
    manifest.directories = (*capture)->directories();
    manifest.trees = (*capture)->trees();
    const Result<SnapshotId> id = (*pending)->Commit(manifest, {});
    ASSERT_OK(id);
    Result<Manifest> loaded = store_->Load(*id);
    ASSERT_OK(loaded);
    manifest_ = std::move(*loaded);
    blocks_stored_ = (*pending)->bytes_stored();
  }

  const FileState* Find(const std::string& path) const {
    for (const FileState& file : manifest_.files) {
      if (file.path == path) return &file;
    }
    return nullptr;
  }

  Result<std::vector<std::string>> PutBack() {
    const std::unique_ptr<BlockReader> blocks = TRY(store_->OpenBlocks(manifest_));
    return PutFilesBack(manifest_.files, manifest_.directories, manifest_.trees, *blocks, "", nullptr);
  }

  TemporaryDirectory directory_;
  std::optional<Store> store_;
  Manifest manifest_;
  std::vector<std::string> warnings_;
  uint64_t blocks_stored_ = 0;           // bytes that the checkpoint added
  bool refresh_ = false;                 // as the engine does, after the second step
  std::function<void()> before_freeze_;  // called while the job runs, after that
  std::function<void()> at_freeze_;      // called when the job stands still, before its files are captured
  std::function<void()> after_frozen_;   // called when they are, while it still stands
};

}  // namespace holdfast
