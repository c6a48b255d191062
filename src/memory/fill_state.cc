#include "memory/fill_state.h"

#include <algorithm>
#include <utility>

namespace holdfast {
namespace {

void Append(std::vector<MissingRange>& list, const std::vector<MissingRange>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

// What was missing in both places may be missing in this child: it has those mappings that were there when
// its parent's were copied.
std::shared_ptr<FilledSpace> Fork(const FilledSpace& parent, int userfaultfd) {
  auto child = std::make_shared<FilledSpace>();
  child->userfaultfd = userfaultfd;
  child->stored = parent.stored;
  child->missing = parent.missing;
  for (const MissingRange& range : parent.went) {
    uint64_t from = range.start;
    for (const MissingRange& there : child->missing.Within(range.start, range.end)) {
      if (from < there.start) child->missing.Add(range.Part(from, there.start));
      from = there.end;
    }
    if (from < range.end) child->missing.Add(range.Part(from, range.end));
  }
  child->went = parent.went;
  child->came = parent.came;
  return child;
}

// What was missing in [start, end) when the thread whose event we have looked at it.
std::vector<MissingRange> TakeBefore(FilledSpace& space, uint64_t start, uint64_t end) {
  std::vector<MissingRange> taken;
  std::erase_if(space.displaced, [&](const MissingRange& range) {
    const bool inside = start <= range.start && range.end <= end;
    if (inside) taken.push_back(range);
    return inside;
  });
  return taken.empty() ? space.missing.Take(start, end) : taken;
}

void Move(FilledSpace& space, uint64_t from, uint64_t to, uint64_t bytes) {
  const std::vector<MissingRange> moved = TakeBefore(space, from, from + bytes);
  Append(space.went, moved);
  Append(space.displaced, space.missing.Take(to, to + bytes));
  for (const MissingRange& range : moved) {
    space.came.push_back({range.start - from + to, range.end - from + to, range.stored});
    space.missing.Add(space.came.back());
  }
  space.left.push_back({from, from + bytes, from});
  space.arrived.Take(to, to + bytes);
  space.arrived.Add({to, to + bytes, to});
}

void Unmap(FilledSpace& space, uint64_t start, uint64_t end) {
  const MissingRange place{start, end, start};
  const auto told = std::find(space.left.begin(), space.left.end(), place);
  if (told == space.left.end()) {
    Append(space.went, TakeBefore(space, start, end));
  } else {
    space.left.erase(told);
  }
}

}  // namespace

FilledSpace& FillState::Add(int userfaultfd, const AddressSpace& stored, MissingRanges missing) {
  auto space = std::make_shared<FilledSpace>();
  space->userfaultfd = userfaultfd;
  space->stored = &stored;
  space->missing = std::move(missing);
  return *(spaces_[userfaultfd] = std::move(space));
}

std::shared_ptr<FilledSpace> FillState::Find(int userfaultfd) const {
  const auto found = spaces_.find(userfaultfd);
  return found == spaces_.end() ? nullptr : found->second;
}

std::shared_ptr<FilledSpace> FillState::Apply(const FillJournal::Entry& entry) {
  const std::shared_ptr<FilledSpace> space = Find(entry.userfaultfd);
  if (space == nullptr) return nullptr;
  const uint64_t start = entry.message.arg.remove.start;  // of an unmapped range, too
  const uint64_t end = entry.message.arg.remove.end;
  switch (entry.message.event) {
    case UFFD_EVENT_FORK: {
      const int userfaultfd = static_cast<int>(entry.message.arg.fork.ufd);
      spaces_[userfaultfd] = Fork(*space, userfaultfd);
      return spaces_[userfaultfd];
    }
    case UFFD_EVENT_REMAP:
      Move(*space, entry.message.arg.remap.from, entry.message.arg.remap.to, entry.message.arg.remap.len);
      break;
    // Whoever forks beside a discard finds what was there or zeros: both are right.
    case UFFD_EVENT_REMOVE:
    case kFillDropped:
      space->missing.Take(start, end);
      break;
    case UFFD_EVENT_UNMAP:
      Unmap(*space, start, end);
      break;
    case kFillSettled:
      space->went.clear();
      space->came.clear();
      space->left.clear();
      space->displaced.clear();
      break;
    case kFillEnded:
      spaces_.erase(entry.userfaultfd);
      break;
    default:
      break;
  }
  return nullptr;
}

}  // namespace holdfast
