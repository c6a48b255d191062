// What is missing where, while a job runs that is being filled: follows the entries of a journal, so that
// whoever reads the same journal comes to know the same.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "memory/fill_journal.h"
#include "memory/missing_ranges.h"
#include "store/manifest.h"

namespace holdfast {

// One address space that memory is missing in.
struct FilledSpace {
  int userfaultfd = -1;
  const AddressSpace* stored = nullptr;  // what its memory is to be
  MissingRanges missing;
  // Since the last time that no change was under way: what is not missing any more at its place, as that was
  // unmapped or moved, and what has been moved to where it is. A fork whose event comes now may have been
  // before any of it.
  std::vector<MissingRange> went;
  std::vector<MissingRange> came;
  // Since then as well: events of several threads come in another order than their deeds. Whoever moves
  // something away tells of the place that it has left only afterwards, and another thread may have filled
  // that place, or told of it, before.
  std::vector<MissingRange> left;  // places that a move has emptied, of which that is still to be told
  std::vector<MissingRange>
      displaced;  // what was missing in places that something came to, before it is told where it is
  std::atomic<bool> gone{false};  // no process has it any more
  // Not -1: it is process `pid`'s, and its writes are to be tracked by this descriptor when all is there.
  // Pages are put so that writes leave their mark.
  int tracking = -1;
  pid_t pid = 0;
  MissingRanges arrived;  // where anything has been moved to, ever

  bool IsSettled() const { return went.empty() && came.empty() && left.empty() && displaced.empty(); }
};

// Not thread-safe.
class FillState {
 public:
  FilledSpace& Add(int userfaultfd, const AddressSpace& stored, MissingRanges missing);
  // What the entry says. The space that a fork brings; else null.
  std::shared_ptr<FilledSpace> Apply(const FillJournal::Entry& entry);

  std::shared_ptr<FilledSpace> Find(int userfaultfd) const;
  const std::map<int, std::shared_ptr<FilledSpace>>& spaces() const { return spaces_; }

 private:
  std::map<int, std::shared_ptr<FilledSpace>> spaces_;  // by descriptor
};

}  // namespace holdfast
