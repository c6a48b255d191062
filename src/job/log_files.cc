#include "job/log_files.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

namespace holdfast {

namespace {

constexpr size_t kCopyBytes = 256 * 1024;
constexpr int kWatchMilliseconds = 500;  // file systems without inotify (NFS) are looked at this often

enum class Written { kAll, kReaderGone };

// Our stdout may be non-blocking when the user's shell left it so.
Written WriteAll(int fd, const char* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written >= 0) {
      data += written;
      bytes -= static_cast<size_t>(written);
    } else if (errno == EAGAIN) {
      pollfd wait{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&wait, 1, -1);
    } else if (errno != EINTR) {
      return Written::kReaderGone;
    }
  }
  return Written::kAll;
}

// One log: an open file and how far it has been copied.
class LogCopier {
 public:
  static Result<LogCopier> Open(const LogFile& log, uint64_t offset) {
    LogCopier copier;
    copier.file_ = Fd(::open(log.path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!copier.file_.valid()) return FailErrno("cannot open " + log.path.string());
    copier.path_ = log.path;
    copier.copy_to_ = log.copy_to;
    copier.offset_ = offset;
    return copier;
  }

  // All that is there. False when nobody reads our output any more.
  bool CopyNew() {
    struct stat now {};
    // A resume takes a log back to where it was at the snapshot.
    if (::fstat(file_.get(), &now) == 0 && static_cast<uint64_t>(now.st_size) < offset_) {
      offset_ = static_cast<uint64_t>(now.st_size);
    }
    for (;;) {
      const ssize_t bytes = ::pread(file_.get(), buffer_.data(), buffer_.size(), static_cast<off_t>(offset_));
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) return true;
      if (WriteAll(copy_to_, buffer_.data(), static_cast<size_t>(bytes)) == Written::kReaderGone)
        return false;
      offset_ += static_cast<uint64_t>(bytes);
    }
  }

  const std::string& path() const { return path_; }
  uint64_t offset() const { return offset_; }

 private:
  Fd file_;
  std::string path_;
  int copy_to_ = -1;
  uint64_t offset_ = 0;
  std::vector<char> buffer_ = std::vector<char>(kCopyBytes);
};

class LogOutput : public JobOutput {
 public:
  ~LogOutput() override { Stop(); }

  Result<void> Start(const std::vector<LogFile>& logs, const std::vector<uint64_t>& offsets) {
    stop_ = Fd(::eventfd(0, EFD_CLOEXEC));
    if (!stop_.valid()) return FailErrno("cannot make an eventfd");
    for (size_t i = 0; i < logs.size(); ++i) {
      LogCopier copier = TRY(LogCopier::Open(logs[i], offsets[i]));
      Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
      if (watch.valid()) ::inotify_add_watch(watch.get(), copier.path().c_str(), IN_MODIFY);
      threads_.emplace_back([this, log = std::move(copier), events = std::move(watch)]() mutable {
        Follow(log, events.get());
      });
    }
    return {};
  }

  void WindowChanged() override {}
  void Finish() override { Stop(); }

 private:
  void Follow(LogCopier& log, int events) const {
    std::array<char, 4096> drained{};
    for (;;) {
      std::array<pollfd, 2> wait{{{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                                  {.fd = events, .events = POLLIN, .revents = 0}}};
      const bool stopping = ::poll(wait.data(), wait.size(), kWatchMilliseconds) > 0 && wait[0].revents != 0;
      while (::read(events, drained.data(), drained.size()) > 0) {
      }
      if (!log.CopyNew() || stopping) return;
    }
  }

  void Stop() {
    const uint64_t one = 1;
    if (stop_.valid() && ::write(stop_.get(), &one, sizeof one) != sizeof one) std::terminate();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    stop_.Reset();
  }

  Fd stop_;
  std::vector<std::thread> threads_;
};

}  // namespace

std::vector<LogFile> LogFilesOf(const std::filesystem::path& job_directory, bool merged_output) {
  if (merged_output) return {{.path = job_directory / "output.log", .copy_to = STDOUT_FILENO}};
  return {{.path = job_directory / "stdout.log", .copy_to = STDOUT_FILENO},
          {.path = job_directory / "stderr.log", .copy_to = STDERR_FILENO}};
}

Result<Fd> OpenLog(const std::filesystem::path& path, bool fresh) {
  const int truncate = fresh ? O_TRUNC : 0;
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | truncate, 0600));
  if (!file.valid()) return FailErrno("cannot open " + path.string());
  return file;
}

bool SameOpenFile(int a, int b) {
  const pid_t self = ::getpid();
  const long order = ::syscall(SYS_kcmp, self, self, KCMP_FILE, a, b);
  if (order >= 0) return order == 0;
  // No kcmp here (seccomp): two descriptors of the same terminal, pipe or file are good enough.
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

Result<std::unique_ptr<JobOutput>> FollowLogs(const std::vector<LogFile>& logs,
                                              const std::vector<uint64_t>& offsets) {
  auto output = std::make_unique<LogOutput>();
  TRY(output->Start(logs, offsets));
  return std::unique_ptr<JobOutput>(std::move(output));
}

Result<uint64_t> CopyLog(const LogFile& log, uint64_t offset) {
  LogCopier copier = TRY(LogCopier::Open(log, offset));
  copier.CopyNew();
  return copier.offset();
}

}  // namespace holdfast
