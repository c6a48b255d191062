#include "memory/fill_journal.h"

#include <sys/mman.h>

#include <atomic>

namespace holdfast {

Result<FillJournal> FillJournal::Make() {
  void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return FailErrno("cannot make memory for a page server's journal");
  return FillJournal(static_cast<Shared*>(memory));
}

FillJournal::~FillJournal() {
  if (shared_ != nullptr) munmap(shared_, sizeof(Shared));
}

// What is written here makes sure, too, that the kernel finds a page to write to: its copy of a message must
// not fail because we are being killed.
uffd_msg& FillJournal::Next(int userfaultfd) {
  if (size_ == kEntriesMax) {
    shared_->overflowed = true;
    size_ = 0;
  }
  Entry& entry = shared_->entries[size_];
  entry.message.event = 0;
  entry.userfaultfd = userfaultfd;
  return entry.message;
}

const FillJournal::Entry& FillJournal::Keep() {
  return shared_->entries[size_++];
}

const FillJournal::Entry& FillJournal::Mark(int userfaultfd, FillMark mark, uint64_t start, uint64_t end) {
  uffd_msg& message = Next(userfaultfd);
  message.arg.remove.start = start;
  message.arg.remove.end = end;
  std::atomic_signal_fence(std::memory_order_release);
  message.event = mark;  // from here on it counts for who takes over
  return Keep();
}

void FillJournal::Reload() {
  size_ = 0;
  while (size_ < kEntriesMax && shared_->entries[size_].message.event != 0) ++size_;
  // Faults are not kept; the last one may have been in the way.
  if (size_ > 0 && shared_->entries[size_ - 1].message.event == UFFD_EVENT_PAGEFAULT) --size_;
}

}  // namespace holdfast
