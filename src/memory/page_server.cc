#include "memory/page_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/page.h"
#include "base/parallel.h"
#include "linux/missing_pages.h"
#include "memory/huge_pages.h"
#include "memory/page_giver.h"
#include "memory/stop_beside.h"
#include "memory/thread_priority.h"
#include "memory/tracking_handover.h"

namespace holdfast {
namespace {

using Space = std::shared_ptr<FilledSpace>;

constexpr auto kNap = std::chrono::microseconds(100);

class Server {
 public:
  Server(const PageServerPlan& plan, FillJournal& journal, int companion)
      : plan_(plan), journal_(journal), companion_(companion) {}

  Result<PageServerReport> Serve() {
    wake_ = Fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_.valid()) return FailErrno("eventfd");
    TakeOver();
    StartThreads();
    Take(Place::kInFront);
    const Served served = Listen();
    StopThreads();
    if (error_) return *std::move(error_);
    return PageServerReport{served, giver_.touched(), tracked_};
  }

 private:
  // Comes to know what a predecessor knew, but for the faults that it had read: who waits asks again.
  void TakeOver() {
    for (const PageServerPlan::Space& space : plan_.spaces) {
      FilledSpace& filled = state_.Add(space.userfaultfd, *space.stored, space.missing);
      filled.tracking = space.tracking;
      filled.pid = space.pid;
    }
    journal_.Reload();
    for (size_t i = 0; i < journal_.size(); ++i) state_.Apply(journal_[i]);
    CloseWhatEndedLast();
    for (const auto& [userfaultfd, space] : state_.spaces()) MissingPages(userfaultfd).WakeAll();
  }

  // It may have been killed between the last mark and what the mark is about. The number may be another
  // file's by now.
  void CloseWhatEndedLast() const {
    if (journal_.size() == 0) return;
    const FillJournal::Entry& last = journal_[journal_.size() - 1];
    if (last.message.event == kFillEnded && MissingPages(last.userfaultfd).IsOpen()) close(last.userfaultfd);
  }

  // As many as there may be, one of each kind at least.
  void StartThreads() {
    for (unsigned i = 0; i < CoreCount(); ++i) {
      const bool enough = i > 0;
      if (!StartThread([this] { AnswerFaults(); }, enough)) return;
      if (!StartThread([this, i] { BringInAll(/*first=*/i == 0); }, enough)) return;
    }
  }

  bool StartThread(const std::function<void()>& body, bool enough) {
    for (;;) {
      try {
        threads_.emplace_back(body);
        return true;
      } catch (const std::system_error&) {  // a limit on processes
        if (enough) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }

  void StopThreads() {
    {
      const std::lock_guard lock(queue_mutex_);
      stopping_ = true;
    }
    queue_changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  // ---- The thread that reads what the job does ----

  Served Listen() {
    ExtentReader reader(plan_.manifest, plan_.blocks);
    while ((!state_.spaces().empty() && !stopping_) || IsStopping()) {
      // Once the journal has been full, nobody could take over from us.
      const int companion = journal_.overflowed() ? -1 : companion_;
      std::vector<pollfd> wait{{.fd = companion, .events = POLLIN, .revents = 0},
                               {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
      for (const auto& [userfaultfd, space] : state_.spaces())
        wait.push_back({.fd = userfaultfd, .events = POLLIN, .revents = 0});
      const int ready = poll(wait.data(), wait.size(), Settle() ? kIdleMilliseconds : 1);
      if (ready > 0 && wait[0].revents != 0 && !IsStopping()) return Served::kAlone;
      for (size_t i = 2; i < wait.size(); ++i) {
        if (wait[i].revents != 0) ReadMessages(wait[i].fd);
      }
      AnswerOne(reader);
      eventfd_t ignored = 0;
      eventfd_read(wake_.get(), &ignored);
      LetGo();
    }
    return Served::kFilled;
  }

  // The gate is ours alone from before the job is let go on until it is known what it has done: no page may
  // be put by what was known before.
  void ReadMessages(int userfaultfd) {
    constexpr int kMessagesMax = 64;  // then others have their turn
    for (int i = 0; i < kMessagesMax; ++i) {
      const std::unique_lock gate(gate_);
      uffd_msg& message = journal_.Next(userfaultfd);
      if (!MissingPages(userfaultfd).Read(message)) return;
      if (message.event == UFFD_EVENT_PAGEFAULT) {
        Enqueue(state_.Find(userfaultfd), message.arg.pagefault.address & ~(kPageBytes - 1));
        continue;
      }
      const FillJournal::Entry& entry = journal_.Keep();
      Space child;
      {
        const std::lock_guard lock(giver_.mutex());
        child = state_.Apply(entry);
      }
      if (child != nullptr) DropUnmapped(*child);
    }
  }

  // A child that was forked while other changes were under way has some of the mappings only. What cannot be
  // told now is kept: if it is not mapped, that shows when a page is to be put there.
  void DropUnmapped(const FilledSpace& child) {
    std::vector<MissingRange> doubtful = child.went;
    doubtful.insert(doubtful.end(), child.came.begin(), child.came.end());
    std::vector<MissingRange> unmapped;
    for (const MissingRange& range : doubtful) {
      FindUnmapped(MissingPages(child.userfaultfd), range.start, range.end, unmapped);
    }
    const std::lock_guard lock(giver_.mutex());
    for (const MissingRange& range : unmapped) {
      state_.Apply(journal_.Mark(child.userfaultfd, kFillDropped, range.start, range.end));
    }
  }

  static void FindUnmapped(const MissingPages& pages, uint64_t start, uint64_t end,
                           std::vector<MissingRange>& unmapped) {
    if (pages.IsRegistered(start, end) != MissingPages::Registered::kNo) return;
    if (end - start > kPageBytes) {
      const uint64_t middle = start + (end - start) / kPageBytes / 2 * kPageBytes;
      FindUnmapped(pages, start, middle, unmapped);
      FindUnmapped(pages, middle, end, unmapped);
    } else if (!unmapped.empty() && unmapped.back().end == start) {
      unmapped.back().end = end;
    } else {
      unmapped.push_back({start, end, start});
    }
  }

  // Whether no change is under way anywhere, as far as it matters.
  bool Settle() {
    bool settled = true;
    for (const auto& [userfaultfd, space] : state_.spaces()) {
      if (space->IsSettled()) continue;
      if (MissingPages(userfaultfd).IsChanging()) {
        settled = false;
        continue;
      }
      const std::lock_guard lock(giver_.mutex());
      state_.Apply(journal_.Mark(userfaultfd, kFillSettled));
    }
    return settled;
  }

  // Of address spaces that are filled or gone. A fork that we have not read of does not matter: it came after
  // the last page was given, as none is given meanwhile. The mark comes before the deed: who takes over
  // between the two finds nothing to do for it.
  void LetGo() {
    std::vector<Space> over;
    for (const auto& [userfaultfd, space] : state_.spaces()) {
      if (space->gone || (space->IsSettled() && giver_.IsFilled(*space))) over.push_back(space);
    }
    for (const Space& space : over) {
      if (!space->gone && space->tracking >= 0) {
        LetGoTracked(*space);
      } else {
        const std::unique_lock gate(gate_);
        End(*space);
      }
    }
    if (stop_ && !IsStopping() && !IsStillWanted(*stop_)) stop_.reset();
  }

  bool IsStillWanted(const StopBeside& stop) const {
    return std::any_of(state_.spaces().begin(), state_.spaces().end(), [&stop](const auto& entry) {
      const FilledSpace& space = *entry.second;
      return !space.gone && space.tracking >= 0 && space.pid == stop.pid();
    });
  }

  // Requires: the gate is ours alone.
  void End(FilledSpace& space) {
    space.gone = true;
    state_.Apply(journal_.Mark(space.userfaultfd, kFillEnded));
    close(space.userfaultfd);
  }

  // Between the one descriptor and the other nobody sees a write, so the process stands still for it. The
  // processes are let go of one after the other.
  void LetGoTracked(FilledSpace& space) {
    if (!stop_) {
      stop_ = std::make_unique<StopBeside>(space.pid, wake_.get());
    } else if (stop_->pid() == space.pid && stop_->state() != StopBeside::State::kUndecided) {
      {
        const std::unique_lock gate(gate_);
        HandOver(space, stop_->state() == StopBeside::State::kStopped);
      }
      stop_.reset();
    }
  }

  // Requires: the gate is ours alone.
  void HandOver(FilledSpace& space, bool stands_still) {
    const bool possible = stands_still && !MissingPages(space.userfaultfd).IsChanging() &&
                          !SharesItsMemory(space.pid, plan_.root_pid);
    Result<std::vector<PageRun>> unwritten = Fail(ErrorKind::kBusy, "it does not stand still");
    if (possible) unwritten = FindUnwritten(space.pid, space.userfaultfd, *space.stored, space.arrived);
    End(space);
    if (unwritten && TrackUnwritten(space.pid, space.tracking, *unwritten)) tracked_.push_back(space.pid);
  }

  // Somebody has to read until it is decided.
  bool IsStopping() const { return stop_ && stop_->state() == StopBeside::State::kUndecided; }

  // ---- Threads that put pages ----

  struct Fault {
    Space space;
    uint64_t page = 0;
  };

  void Enqueue(Space space, uint64_t page) {
    if (space == nullptr) return;
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back({std::move(space), page});
    if (queue_.size() > 1) queue_changed_.notify_one();  // the first is our own
  }

  // By the thread that has read of it: waking another one takes about as long as answering. It tries once, as
  // what is in the way may be an event that is still to be read.
  void AnswerOne(ExtentReader& reader) {
    std::unique_lock lock(queue_mutex_);
    if (queue_.empty()) return;
    Fault fault = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const Result<Outcome> outcome = giver_.Answer(*fault.space, fault.page, reader);
    Note(*fault.space, outcome);
    if (!outcome || *outcome != Outcome::kAgain) return;
    lock.lock();
    queue_.push_back(std::move(fault));
    queue_changed_.notify_one();
  }

  std::optional<Fault> NextFault() {
    std::unique_lock lock(queue_mutex_);
    queue_changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return std::nullopt;
    Fault fault = std::move(queue_.front());
    queue_.pop_front();
    return fault;
  }

  void AnswerFaults() {
    Take(Place::kInFront);
    ExtentReader reader(plan_.manifest, plan_.blocks);
    while (const std::optional<Fault> fault = NextFault()) {
      Result<Outcome> outcome = giver_.Answer(*fault->space, fault->page, reader);
      while (outcome && *outcome == Outcome::kAgain && !stopping_) {
        std::this_thread::sleep_for(kNap);
        outcome = giver_.Answer(*fault->space, fault->page, reader);
      }
      Note(*fault->space, outcome);
    }
  }

  // A step behind those of the job that wait, or work.
  void BringInAll(bool first) {
    Take(Place::kBehind);
    ExtentReader reader(plan_.manifest, plan_.blocks);
    if (first) BringInFirst(reader);
    while (!stopping_) {
      const std::optional<Span> span = NextSpan();
      if (!span) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        continue;
      }
      const Result<Outcome> outcome = giver_.Fill(*span->space, span->start, span->end, reader);
      Note(*span->space, outcome);
      if (outcome && *outcome == Outcome::kAgain) std::this_thread::sleep_for(kNap);
    }
  }

  void BringInFirst(ExtentReader& reader) {
    for (const Touch& touch : plan_.first) BringIn({touch.pid, touch.address, kPageBytes}, reader);
    if (!plan_.second) return;
    for (const Stretch& stretch : plan_.second()) BringIn(stretch, reader);
  }

  void BringIn(const Stretch& stretch, ExtentReader& reader) {
    for (const PageServerPlan::Space& planned : plan_.spaces) {
      if (stopping_ || planned.stored->pid != stretch.pid) continue;
      const Space space = FindSpace(planned.userfaultfd);
      if (space == nullptr || space->stored != planned.stored) continue;
      // In reaches, as the rest: between two of them somebody may want to stop.
      const uint64_t end = stretch.address + stretch.bytes;
      for (uint64_t at = stretch.address; at < end && !stopping_;) {
        const uint64_t to = std::min(end, (at / kHugeBytes + 1) * kHugeBytes);
        Note(*space, giver_.Fill(*space, at, to, reader));
        at = to;
      }
    }
  }

  Space FindSpace(int userfaultfd) {
    const std::shared_lock gate(gate_);
    return state_.Find(userfaultfd);
  }

  struct Span {
    Space space;
    uint64_t start = 0;
    uint64_t end = 0;
  };

  // One huge page's reach, round after round through all spaces: what could not be given is met again.
  std::optional<Span> NextSpan() {
    const std::shared_lock gate(gate_);
    const std::lock_guard lock(cursor_mutex_);
    for (size_t tries = 0; tries <= state_.spaces().size(); ++tries) {
      auto at = state_.spaces().lower_bound(cursor_space_);
      if (at == state_.spaces().end()) {
        cursor_space_ = 0;
        cursor_address_ = 0;
        at = state_.spaces().begin();
        if (at == state_.spaces().end()) return std::nullopt;
      }
      if (at->first != std::exchange(cursor_space_, at->first)) cursor_address_ = 0;
      const std::optional<MissingRange> next = giver_.FirstFrom(*at->second, cursor_address_);
      if (next && !at->second->gone) {
        cursor_address_ = (next->start / kHugeBytes + 1) * kHugeBytes;
        return Span{at->second, next->start, cursor_address_};
      }
      cursor_space_ = at->first + 1;
      cursor_address_ = 0;
    }
    return std::nullopt;
  }

  void Note(FilledSpace& space, const Result<Outcome>& outcome) {
    if (!outcome) {
      const std::lock_guard lock(queue_mutex_);
      if (!error_) error_ = outcome.error();
      stopping_ = true;
      queue_changed_.notify_all();
    } else if (*outcome == Outcome::kGone) {
      space.gone = true;
    } else if (*outcome == Outcome::kAgain || !giver_.IsFilled(space)) {
      return;
    }
    eventfd_write(wake_.get(), 1);
  }

  static constexpr int kIdleMilliseconds = 100;

  const PageServerPlan& plan_;
  FillJournal& journal_;
  const int companion_;
  Fd wake_;
  ChangeGate gate_;
  FillState state_;  // changed by the reading thread only, with the gate its own
  PageGiver giver_{gate_};
  std::vector<std::thread> threads_;
  std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<Fault> queue_;
  std::atomic<bool> stopping_{false};
  std::vector<pid_t> tracked_;
  std::unique_ptr<StopBeside> stop_;  // of a process that is filled and is to be tracked
  std::optional<Error> error_;
  std::mutex cursor_mutex_;
  int cursor_space_ = 0;
  uint64_t cursor_address_ = 0;
};

}  // namespace

Result<PageServerReport> ServePages(const PageServerPlan& plan, FillJournal& journal, int companion) {
  return Server(plan, journal, companion).Serve();
}

}  // namespace holdfast
