// Who of a page server's threads has a processor first.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace holdfast {

// Of the calling thread. In front: a thread of the job waits, for some ten microseconds of work. Behind:
// nobody does. Not everybody is allowed to step in front; nothing but time depends on it.
enum class Place { kInFront = -15, kBehind = 5 };

inline void Take(Place place) {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), static_cast<int>(place));
}

// In front as long as it lives, then behind: around what somebody in front may have to wait for.
class InFront {
 public:
  InFront() { Take(Place::kInFront); }
  InFront(const InFront&) = delete;
  InFront& operator=(const InFront&) = delete;
  ~InFront() { Take(Place::kBehind); }
};

}  // namespace holdfast
