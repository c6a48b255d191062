#include <algorithm>

#include "engine/engine.h"
#include "linux/proc.h"
#include "memory/drain.h"
#include "memory/known_pages.h"
#include "memory/write_tracking.h"

namespace holdfast {

namespace {

// Without the pages of file mappings, which are captured each time and of which nobody counts the writes.
Result<uint64_t> CountWritten(pid_t pid) {
  std::vector<Mapping> mappings = TRY(ReadMaps(pid));
  std::erase_if(mappings, [](const Mapping& mapping) { return !IsAnonymous(mapping); });
  return TotalBytes(TRY(WriteTracking::Continue(pid, Fd()).Written(mappings)));
}

}  // namespace

Result<UnsavedMemory> MeasureUnsaved(pid_t root_pid, const KeptTracking& tracking) {
  UnsavedMemory unsaved;
  for (const pid_t pid : TRY(ReadTree(root_pid))) {
    const Result<ProcessStatus> status = ReadStatus(pid);
    if (!status || status->zombie()) continue;  // it has ended
    const bool tracked =
        std::any_of(tracking.tasks.begin(), tracking.tasks.end(), [&status](const KeptTracking::Task& task) {
          return task.pid == status->pid && task.start_ticks == status->start_ticks;
        });
    const Result<uint64_t> written = tracked ? CountWritten(pid) : Result<uint64_t>(0);
    if (!written) continue;
    unsaved.tracked = unsaved.tracked || tracked;
    (tracked ? unsaved.written_bytes : unsaved.untracked_bytes) +=
        tracked ? *written : status->resident_bytes;
  }
  return unsaved;
}

}  // namespace holdfast
