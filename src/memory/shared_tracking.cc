#include "memory/shared_tracking.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/page.h"
#include "base/parallel.h"
#include "base/units.h"
#include "linux/pagemap_scan.h"
#include "linux/run_apart.h"
#include "linux/write_protection.h"
#include "memory/known_pages.h"
#include "memory/tracking_descriptor.h"

namespace holdfast {
namespace {

// One process whose mappings are registered. Guarded by Impl::mutex but for `protection`, `uses`.
struct Tracked {
  WriteProtection protection;
  std::vector<SharedUse> uses;
  bool lost = false;      // it forked or moved a mapping: there were mappings that nobody has marks of
  bool confused = false;  // see SharedTracking::Confused
  std::vector<PageRun> discarded;  // by address
};

PageRun PlaceOf(const SharedUse& use, uint64_t start, uint64_t end) {
  return {use.offset + (start - use.start), end - start};
}

// The parts of `use` that lie in `others` of the same process, in order: the same object at the same places.
// How mappings are cut up changes with every mprotect.
std::vector<PageRun> Common(const SharedUse& use, const std::vector<SharedUse>& others) {
  std::vector<PageRun> common;
  for (const SharedUse& other : others) {
    const uint64_t start = std::max(use.start, other.start);
    const uint64_t end = std::min(use.end, other.end);
    if (other.inode != use.inode || start >= end) continue;
    if (PlaceOf(other, start, end).address != PlaceOf(use, start, end).address) continue;
    common.push_back({start, end - start});
  }
  return Ordered(std::move(common));
}

// The rest of `use`, as places in the object.
std::vector<PageRun> PlacesBeside(const SharedUse& use, const std::vector<PageRun>& parts) {
  std::vector<PageRun> places;
  for (const PageRun& run : LeftOf({{use.start, use.end - use.start}}, parts)) {
    places.push_back(PlaceOf(use, run.address, run.address + run.bytes));
  }
  return places;
}

void Append(std::vector<PageRun>& runs, const std::vector<PageRun>& more) {
  runs.insert(runs.end(), more.begin(), more.end());
}

// The uses that `mappings` of a process make of one object.
std::vector<SharedUse> UsesIn(const std::vector<Mapping>& mappings, pid_t pid, uint64_t inode) {
  std::vector<SharedUse> uses;
  for (const Mapping& mapping : mappings) {
    if (!IsSharedMemory(mapping) || mapping.inode != inode) continue;
    uses.push_back({pid, inode, mapping.start, mapping.end, mapping.offset});
  }
  return uses;
}

constexpr uint64_t kStretchBytesMax = 128 * kMiB;

// Calls `look` for each use of the object (0: of every one) that the process makes. It may end at any moment:
// what it had mapped will not be there at the freeze, and count as written.
Result<void> ForEachUse(
    pid_t pid, const std::vector<SharedUse>& uses, uint64_t inode,
    const std::function<Result<void>(const PagemapScanner& scanner, const SharedUse& use)>& look) {
  const auto look_at_all = [&]() -> Result<void> {
    const PagemapScanner scanner = TRY(PagemapScanner::Open(pid));
    for (const SharedUse& use : uses) {
      if (inode == 0 || use.inode == inode) TRY(look(scanner, use));
    }
    return {};
  };
  Result<void> looked = look_at_all();
  if (!looked && looked.error().kind == ErrorKind::kNotFound) return {};
  return looked;
}

struct Stretch {
  SharedUse use;
  uint64_t start = 0;
  uint64_t end = 0;
};

}  // namespace

struct SharedTracking::Impl {
  Impl(Fd epoll_fd, Fd stop_fd) : epoll(std::move(epoll_fd)), stop(std::move(stop_fd)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    const uint64_t one = 1;
    // It cannot fail: the counter is at zero.
    static_cast<void>(write(stop.get(), &one, sizeof one));
    reader.join();
  }

  // A part of a mapping that has grown since cannot have marks that we know of.
  static void NoteDiscarded(Tracked& task, uint64_t start, uint64_t end) {
    std::vector<PageRun> tracked;
    for (const SharedUse& use : task.uses) tracked.push_back({use.start, use.end - use.start});
    if (!LeftOf({{start, end - start}}, Ordered(std::move(tracked))).empty()) task.lost = true;
    task.discarded.push_back({start, end - start});
  }

  // Whoever waits for an event to be read is awake by the time that Read returns. With the mutex held from
  // before that until it is noted down, nobody who holds it later misses it.
  void ReadEvents() {
    for (auto& [pid, task] : tasks) {
      uffd_msg event{};
      while (task.protection.Read(event)) {
        switch (event.event) {
          case UFFD_EVENT_FORK:
            // The child has the mappings, too, and may be gone with its marks when they are looked for.
            close(static_cast<int>(event.arg.fork.ufd));
            task.lost = true;
            break;
          case UFFD_EVENT_REMOVE:
            // After MADV_REMOVE the place is empty in the object, and its protection stays where it was.
          case UFFD_EVENT_UNMAP:
            // The marks went with the pages.
            NoteDiscarded(task, event.arg.remove.start, event.arg.remove.end);
            break;
          default:
            // Of mremap, which with an old length of 0 makes a second mapping.
            task.lost = true;
            task.confused = true;
        }
      }
    }
  }

  void AnswerEvents() {
    for (;;) {
      epoll_event ready{};
      if (epoll_wait(epoll.get(), &ready, 1, -1) <= 0) continue;
      if (ready.data.fd == stop.get()) return;
      const std::lock_guard lock(mutex);
      ReadEvents();
    }
  }

  // Where a mapping had just gone, a protection may have hit what came in its place.
  void NoteWhatIsGone(pid_t pid, Tracked& task) {
    const Result<std::vector<Mapping>> mappings = ReadMaps(pid);
    for (const SharedUse& use : task.uses) {
      const bool there =
          mappings && PlacesBeside(use, Common(use, UsesIn(*mappings, pid, use.inode))).empty();
      if (!there) task.confused = true;
    }
  }

  Fd epoll;
  Fd stop;
  mutable std::mutex mutex;
  std::map<pid_t, Tracked> tasks;
  std::thread reader;
};

SharedTracking::SharedTracking(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SharedTracking::SharedTracking(SharedTracking&&) noexcept = default;
SharedTracking& SharedTracking::operator=(SharedTracking&&) noexcept = default;
SharedTracking::~SharedTracking() = default;

Result<SharedTracking> SharedTracking::Begin() {
  Fd epoll(epoll_create1(EPOLL_CLOEXEC));
  Fd stop(eventfd(0, EFD_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = stop.get();
  if (!epoll.valid() || !stop.valid() || epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stop.get(), &event) != 0) {
    return FailErrno("cannot wait for events of shared memory");
  }
  auto impl = std::make_unique<Impl>(std::move(epoll), std::move(stop));
  impl->reader = std::thread([impl = impl.get()] { impl->AnswerEvents(); });
  return SharedTracking(std::move(impl));
}

Result<void> SharedTracking::Register(pid_t pid, const StoppedProcess& stopped,
                                      const std::vector<SharedUse>& uses) {
  WriteProtection protection = TRY(
      WriteProtection::Enable(TRY(MakeTrackingDescriptor(pid, stopped)), WriteProtection::Events::kOfOthers));
  for (const SharedUse& use : uses) {
    if (protection.Register(use.start, use.end)) continue;
    return Fail(ErrorKind::kUnsupported, fmt::format("shared memory of process {} cannot be tracked", pid));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = protection.descriptor();
  // The thread that reads events may have died with it.
  std::unique_lock lock(impl_->mutex, std::try_to_lock);
  while (!lock) {
    if (IsLeftApart()) return Fail(ErrorKind::kInterrupted, "whoever tracks shared memory is gone");
    std::this_thread::yield();
    static_cast<void>(lock.try_lock());
  }
  if (epoll_ctl(impl_->epoll.get(), EPOLL_CTL_ADD, protection.descriptor(), &event) != 0) {
    return FailErrno("cannot wait for events of shared memory");
  }
  impl_->tasks.insert_or_assign(pid, Tracked{std::move(protection), uses, false, false, {}});
  return {};
}

Result<std::set<uint64_t>> SharedTracking::MappedElsewhere(const std::set<uint64_t>& inodes) const {
  std::set<uint64_t> elsewhere;
  for (const pid_t pid : TRY(ReadAllProcesses())) {
    const Result<std::vector<Mapping>> mappings = ReadMaps(pid);
    // Ended; or of another user namespace than ours and the job's. Anonymous memory comes from a parent, and
    // an exec leaves it behind: whoever shares some with the job is ours to look at, as the job itself is.
    const bool is_nobody = !mappings && (mappings.error().kind == ErrorKind::kNotFound ||
                                         mappings.error().kind == ErrorKind::kPermission);
    if (is_nobody) continue;
    if (!mappings) return Error(mappings.error());
    const auto task = impl_->tasks.find(pid);
    for (const Mapping& mapping : *mappings) {
      if (!IsSharedMemory(mapping) || !inodes.contains(mapping.inode)) continue;
      const SharedUse use{pid, mapping.inode, mapping.start, mapping.end, mapping.offset};
      const bool known =
          task != impl_->tasks.end() && PlacesBeside(use, Common(use, task->second.uses)).empty();
      if (!known) elsewhere.insert(mapping.inode);
    }
  }
  return elsewhere;
}

Result<void> SharedTracking::Protect() {
  for (auto& [pid, task] : impl_->tasks) {
    TRY(ForEachUse(pid, task.uses, 0, [](const PagemapScanner& scanner, const SharedUse& use) {
      return scanner.ProtectPlaces(use.start, use.end);
    }));
    const std::lock_guard lock(impl_->mutex);
    impl_->NoteWhatIsGone(pid, task);
  }
  return {};
}

Result<std::vector<PageRun>> SharedTracking::ProtectWritten(uint64_t inode) {
  std::vector<PageRun> written;
  for (auto& [pid, task] : impl_->tasks) {
    TRY(ForEachUse(pid, task.uses, inode,
                   [&written](const PagemapScanner& scanner, const SharedUse& use) -> Result<void> {
                     for (const PageRegion& region : TRY(scanner.Protect(use.start, use.end))) {
                       written.push_back(PlaceOf(use, region.start, region.end));
                     }
                     return {};
                   }));
    const std::lock_guard lock(impl_->mutex);
    impl_->NoteWhatIsGone(pid, task);
  }
  return Ordered(std::move(written));
}

Result<uint64_t> SharedTracking::WrittenBytes(uint64_t inode) const {
  std::vector<PageRun> written;
  for (const auto& [pid, task] : impl_->tasks) {
    TRY(ForEachUse(pid, task.uses, inode,
                   [&written](const PagemapScanner& scanner, const SharedUse& use) -> Result<void> {
                     for (const PageRegion& region : TRY(scanner.Unprotected(use.start, use.end))) {
                       written.push_back(PlaceOf(use, region.start, region.end));
                     }
                     return {};
                   }));
  }
  return TotalBytes(Ordered(std::move(written)));
}

std::set<pid_t> SharedTracking::Confused() const {
  const std::lock_guard lock(impl_->mutex);
  std::set<pid_t> confused;
  for (const auto& [pid, task] : impl_->tasks) {
    if (task.confused) confused.insert(pid);
  }
  return confused;
}

Result<std::optional<std::vector<PageRun>>> SharedTracking::FindWritten(uint64_t inode,
                                                                        const std::vector<SharedUse>& uses) {
  const std::lock_guard lock(impl_->mutex);
  impl_->ReadEvents();
  std::vector<PageRun> written;
  std::vector<Stretch> stretches;
  std::map<pid_t, std::vector<SharedUse>> uses_now;
  for (const SharedUse& use : uses) uses_now[use.pid].push_back(use);

  for (const auto& [pid, task] : impl_->tasks) {
    for (const SharedUse& tracked : task.uses) {
      if (tracked.inode != inode) continue;
      if (task.lost) return std::optional<std::vector<PageRun>>();
      // What is not there any more has taken its marks with it.
      Append(written, PlacesBeside(tracked, Common(tracked, uses_now[pid])));
      for (const PageRun& run : task.discarded) {
        const uint64_t start = std::max(run.address, tracked.start);
        const uint64_t end = std::min(run.address + run.bytes, tracked.end);
        if (start < end) written.push_back(PlaceOf(tracked, start, end));
      }
    }
  }
  for (const SharedUse& use : uses) {
    // What was not protected: it has grown, or come since; also in the place of a tracked one.
    const auto task = impl_->tasks.find(use.pid);
    std::vector<PageRun> marked;
    if (task != impl_->tasks.end()) marked = Common(use, task->second.uses);
    if (!marked.empty() && !TRY(TRY(PagemapScanner::Open(use.pid)).IsRegistered(use.start))) marked.clear();
    Append(written, PlacesBeside(use, marked));
    for (const PageRun& run : marked) {
      for (uint64_t at = run.address; at < run.address + run.bytes; at += kStretchBytesMax) {
        stretches.push_back({use, at, std::min(run.address + run.bytes, at + kStretchBytesMax)});
      }
    }
  }

  std::vector<std::vector<PageRun>> parts(stretches.size());
  constexpr size_t kStretchesPerThreadMin = 2;
  const auto threads =
      static_cast<unsigned>(std::clamp<size_t>(stretches.size() / kStretchesPerThreadMin, 1, CoreCount()));
  TRY(ParallelFor(
      stretches.size(),
      [&](size_t i) -> Result<void> {
        const Stretch& stretch = stretches[i];
        const PagemapScanner scanner = TRY(PagemapScanner::Open(stretch.use.pid));
        for (const PageRegion& region : TRY(scanner.Unprotected(stretch.start, stretch.end))) {
          parts[i].push_back(PlaceOf(stretch.use, region.start, region.end));
        }
        return {};
      },
      threads));
  for (const std::vector<PageRun>& part : parts) Append(written, part);
  return std::optional(Ordered(std::move(written)));
}

void SharedTracking::LetGo(pid_t pid) {
  const std::lock_guard lock(impl_->mutex);
  impl_->tasks.erase(pid);
}

}  // namespace holdfast
