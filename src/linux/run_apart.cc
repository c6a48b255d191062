#include "linux/run_apart.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <optional>

#include "base/units.h"

namespace holdfast {
namespace {

// Of the one that runs apart now, in memory that it shares.
std::atomic<pid_t> starter = 0;

struct Work {
  const std::function<Result<void>()>& work;
  std::optional<Result<void>> result;
};

int Run(void* argument) {
  Work& work = *static_cast<Work*>(argument);
  work.result.emplace(work.work());
  return 0;
}

class Stack {
 public:
  static constexpr size_t kBytes = 1 * kMiB;
  Stack()
      : start_(
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)) {}
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() {
    if (valid()) munmap(start_, kBytes);
  }
  bool valid() const { return start_ != MAP_FAILED; }
  void* top() const { return static_cast<char*>(start_) + kBytes; }

 private:
  void* start_;
};

}  // namespace

// As vfork does it: this thread stands still meanwhile, so that the other process can use all that is its own
// (errno, the allocator's).
Result<void> RunApart(const std::function<Result<void>()>& work) {
  const Stack stack;
  if (!stack.valid()) return FailErrno("cannot get a stack");
  Work apart{work, std::nullopt};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  starter = getpid();
  const pid_t pid = clone(Run, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_FILES, &apart);
  const int error = errno;
  if (pid > 0) {
    while (waitpid(pid, nullptr, __WALL) < 0 && errno == EINTR) {
    }
  }
  starter = 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return FailErrno(error, "cannot start a process");
  if (!apart.result) return Fail(ErrorKind::kInternal, "a process of ours was killed");
  return *std::move(apart.result);
}

bool IsLeftApart() {
  return starter != 0 && getpid() != starter && getppid() != starter;
}

}  // namespace holdfast
