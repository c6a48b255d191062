#include "engine/page_servers.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>
#include <utility>

#include "base/limits.h"
#include "engine/fill_record.h"
#include "engine/first_touches.h"
#include "engine/written_last.h"
#include "linux/kill_tree.h"
#include "linux/pidfd.h"
#include "linux/proc.h"
#include "memory/fill_journal.h"
#include "memory/huge_pages.h"
#include "memory/page_server.h"

namespace holdfast {
namespace {

void CloseAllBut(const std::set<int>& kept) {
  unsigned from = 0;
  for (const int fd : kept) {
    const auto number = static_cast<unsigned>(fd);
    if (number > from) syscall(SYS_close_range, from, number - 1, 0);
    from = number + 1;
  }
  syscall(SYS_close_range, from, ~0u, 0);
}

struct Task {
  pid_t pid = 0;
  int tracking = -1;
  Fd pidfd;
  std::vector<uint64_t> huge_pages;  // there were
};

// Lives in the processes themselves; nobody comes back from Run.
struct Family {
  const PageServersOptions& options;
  PageServerPlan plan;
  FillJournal journal;
  FillRecord record;
  Fd root;  // a pidfd
  std::vector<Task> tasks;
  const KeptTracking& tracking;  // what there is of it already
  int ready;                     // told once there are two of us

  [[noreturn]] void Run() {
    for (int servers = 0; servers < limits::kPageServersMax; ++servers) {
      if (journal.overflowed())
        Lose("its page server was killed, and more had happened than is written down");
      const Result<Fd> companion = OpenPidfd(getpid());
      // Memory copied, descriptors shared. There is one thread here.
      const pid_t server =
          companion ? static_cast<pid_t>(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0)) : -1;
      if (server == 0) {
        ready = -1;  // its companion's to tell and to close
        Serve(*companion);
        continue;  // its companion has ended: now it is that of the next
      }
      if (server < 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      TellReady();
      int status = 0;
      while (waitpid(server, &status, 0) < 0 && errno == EINTR) {
      }
      if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    }
    Lose("its page servers were killed time and again");
  }

 private:
  // Nobody may wait for it any more; then the restart has failed, and the job goes with it.
  void TellReady() {
    if (ready < 0) return;
    static_cast<void>(write(ready, "r", 1) == 1);
    close(std::exchange(ready, -1));
  }

  void Serve(const Fd& companion) {
    const Result<PageServerReport> report = ServePages(plan, journal, companion.get());
    if (!report) Lose(report.error().message);
    if (report->served == Served::kAlone) return;
    KeepTracking(report->tracked);  // before a checkpoint looks for it
    record.SetFilled();
    WriteFirstTouches(options.first_touches, report->touched);
    for (const Task& task : tasks) {
      for (const uint64_t address : task.huge_pages) CollapseHugePage(task.pidfd, address);
    }
    _exit(0);
  }

  // What we have of it ends with us.
  void KeepTracking(const std::vector<pid_t>& tracked) const {
    KeptTracking kept{.base = tracking.base, .tasks = {}};
    const auto keep = [&kept](pid_t pid, int userfaultfd) {
      const Result<ProcessStatus> status = ReadStatus(pid);
      if (status) kept.tasks.push_back({pid, status->start_ticks, Fd(userfaultfd)});
    };
    for (const KeptTracking::Task& task : tracking.tasks) keep(task.pid, task.userfaultfd.get());
    for (const Task& task : tasks) {
      if (std::find(tracked.begin(), tracked.end(), task.pid) != tracked.end()) keep(task.pid, task.tracking);
    }
    if (!kept.tasks.empty()) options.keep_tracking(std::move(kept));
  }

  [[noreturn]] void Lose(const std::string& reason) const {
    record.SetLost(reason);
    if (SendSignal(root.get(), SIGSTOP)) KillTree(options.root_pid);
    // Some may have lost their parent by now.
    for (const Task& task : tasks) static_cast<void>(SendSignal(task.pidfd.get(), SIGKILL).has_value());
    _exit(1);
  }
};

// A process of its own: no terminal, no signals, none of the descriptors that it does not need.
void StandAlone(const std::set<int>& kept) {
  setsid();
  prctl(PR_SET_NAME, "page-server");
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  CloseAllBut(kept);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd <= 2; ++fd) {
    if (!kept.contains(fd) && fd != null) dup2(null, fd);
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;  // a job that forks brings a descriptor for each child
  setrlimit(RLIMIT_NOFILE, &files);
}

// Of one that is whole, nothing is known.
std::vector<Stretch> WrittenSinceParent(const Store& store, const Manifest& manifest) {
  if (!manifest.parent) return {};
  const Result<Manifest> parent = store.Load(*manifest.parent);
  return parent ? WrittenLast(manifest, *parent) : std::vector<Stretch>{};
}

Result<void> BecomePageServers(const PageServersOptions& options, const std::vector<LazyTask>& tasks,
                               const KeptTracking& tracking, FillJournal journal, FillRecord record,
                               int ready) {
  Fd root = TRY(OpenPidfd(options.root_pid));
  std::set<int> kept{ready, record.descriptor(), root.get()};
  std::vector<Fd> pidfds;
  for (const LazyTask& task : tasks) {
    pidfds.push_back(TRY(OpenPidfd(task.pid)));
    kept.insert({pidfds.back().get(), task.userfaultfd.get()});
    if (task.tracking.valid()) kept.insert(task.tracking.get());
  }
  for (const KeptTracking::Task& task : tracking.tasks) kept.insert(task.userfaultfd.get());
  StandAlone(kept);
  // What the caller has open of the store is closed by now.
  const Store store = TRY(Store::Open(options.store.directory()));
  const std::unique_ptr<BlockReader> blocks = TRY(store.OpenBlocks(options.manifest));
  PageServerPlan plan{.manifest = options.manifest,
                      .blocks = *blocks,
                      .spaces = {},
                      .first = ReadFirstTouches(options.first_touches),
                      .second = [&] { return WrittenSinceParent(store, options.manifest); },
                      .root_pid = options.root_pid};
  for (const LazyTask& task : tasks) {
    plan.spaces.push_back({.userfaultfd = task.userfaultfd.get(),
                           .stored = task.stored,
                           .missing = task.missing,
                           .tracking = task.tracking.get(),
                           .pid = task.pid});
  }
  Family family{.options = options,
                .plan = std::move(plan),
                .journal = std::move(journal),
                .record = std::move(record),
                .root = std::move(root),
                .tasks = {},
                .tracking = tracking,
                .ready = ready};
  for (size_t i = 0; i < tasks.size(); ++i) {
    family.tasks.push_back({tasks[i].pid, tasks[i].tracking.get(), std::move(pidfds[i]),
                            WholeHugePages(tasks[i].stored->extents)});
  }
  family.Run();
}

}  // namespace

Result<void> StartPageServers(const PageServersOptions& options, const std::vector<LazyTask>& tasks,
                              const KeptTracking& tracking) {
  FillJournal journal = TRY(FillJournal::Make());
  FillRecord record = TRY(FillRecord::Create(options.fill_record));
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  const Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return FailErrno("cannot start page servers");
  if (pid == 0) {
    const Result<void> failed =
        BecomePageServers(options, tasks, tracking, std::move(journal), std::move(record), write_end.get());
    const std::string& message = failed.error().message;
    static_cast<void>(write(write_end.get(), message.data(), message.size()) == 0);
    _exit(1);
  }
  write_end.Reset();
  std::string answer;
  std::array<char, 512> buffer{};
  for (;;) {
    const ssize_t bytes = read(read_end.get(), buffer.data(), buffer.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    answer.append(buffer.data(), static_cast<size_t>(bytes));
  }
  if (answer == "r") return {};
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  unlink(options.fill_record.c_str());
  return Fail(ErrorKind::kInternal, "page servers: " + (answer.empty() ? "they were killed" : answer));
}

}  // namespace holdfast
