// What has happened to the memory of a job that is being filled, in order: the events of its userfaultfds,
// and marks of our own. It lies in memory that a page server shares with whoever takes over from it, and the
// kernel writes each event straight into it. So an event that a killed page server has taken from the kernel
// is not lost with it.
#pragma once

#include <linux/userfaultfd.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace holdfast {

// Our own marks, in uffd_msg::event. The range, where there is one, is in arg.remove.
enum FillMark : uint8_t {
  kFillSettled = 0xf0,  // every change that there was before has come to its end
  kFillDropped,         // the range is not mapped
  kFillEnded,           // the descriptor is closed, or about to be
};

// One writer. Processes that are forked later share it.
class FillJournal {
 public:
  struct Entry {
    int32_t userfaultfd = -1;  // whose memory it is about
    uffd_msg message{};
  };

  static Result<FillJournal> Make();
  FillJournal(FillJournal&& other) noexcept
      : shared_(std::exchange(other.shared_, nullptr)), size_(other.size_) {}
  FillJournal& operator=(FillJournal&&) = delete;
  ~FillJournal();

  // Where the kernel is to write the next message about `userfaultfd`. It counts from Keep on, or when we are
  // killed.
  uffd_msg& Next(int userfaultfd);
  const Entry& Keep();
  const Entry& Mark(int userfaultfd, FillMark mark, uint64_t start = 0, uint64_t end = 0);

  // For who takes over: what a killed predecessor kept, and what it was about to keep.
  void Reload();
  size_t size() const { return size_; }
  const Entry& operator[](size_t i) const { return shared_->entries[i]; }
  // It was full once: what came after that is not in it, so nobody can take over.
  bool overflowed() const { return shared_->overflowed; }

 private:
  // Address space for each; memory only for those that are used.
  static constexpr size_t kEntriesMax = size_t{1} << 20;
  struct Shared {
    bool overflowed = false;
    Entry entries[kEntriesMax];
  };
  explicit FillJournal(Shared* shared) : shared_(shared) {}
  Shared* shared_;
  size_t size_ = 0;
};

}  // namespace holdfast
