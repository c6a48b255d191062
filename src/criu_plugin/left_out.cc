// SPDX-License-Identifier: MIT
#include "criu_plugin/left_out.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast {

LeftOut::LeftOut(RemoteCall& task, const TwinRange* ranges, uint64_t count)
    : task_(task), ranges_(ranges), count_(count) {
  for (uint64_t i = 0; i < count_; ++i) {
    const TwinRange& range = ranges_[i];
    ours_[i] = task_.Call(SYS_madvise, range.start, range.end - range.start, MADV_DONTFORK) == 0;
  }
  if (count_ > 0) FindOurs();
}

// A mapping that is new to DONTFORK is cut where a range begins inside of it. One that had it is not: it is
// the job's wish that its children do not get it.
void LeftOut::FindOurs() {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/maps", task_.task());
  FILE* maps = fopen(path, "re");
  if (maps == nullptr) return;  // nothing is known against any
  uint64_t i = 0;
  char* line = nullptr;
  size_t capacity = 0;
  while (i < count_ && getline(&line, &capacity, maps) > 0) {
    const uint64_t start = strtoull(line, nullptr, 16);
    while (i < count_ && ranges_[i].start < start) ours_[i++] = false;
    if (i < count_ && ranges_[i].start == start) ++i;
  }
  while (i < count_) ours_[i++] = false;
  free(line);
  fclose(maps);
}

LeftOut::~LeftOut() {
  for (uint64_t i = 0; i < count_; ++i) {
    const TwinRange& range = ranges_[i];
    if (ours_[i]) task_.Call(SYS_madvise, range.start, range.end - range.start, MADV_DOFORK);
  }
}

}  // namespace holdfast
