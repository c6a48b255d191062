#include "engine/restored_tracking.h"

#include <utility>
#include <vector>

#include "base/page.h"
#include "engine/precopy.h"
#include "linux/proc.h"
#include "memory/known_pages.h"

namespace holdfast {

Result<bool> IsToBeTracked(const RestoredTask& task, const Manifest& manifest) {
  return WasTracked(manifest, task.pid_in_namespace) && !HasInvisibleWriters(TRY(ReadMaps(task.pid)));
}

Result<WriteTracking> TrackFromRestart(const RestoredTask& task, const AddressSpace& stored,
                                       const std::set<uint64_t>& not_ours) {
  const std::vector<Mapping> mappings = TRY(ReadMaps(task.pid));
  WriteTracking tracking =
      TRY(WriteTracking::Begin(task.pid, TRY(MakeUserfaultfd(task, FaultsOf::kInstructions))));
  TRY(tracking.Register(mappings));
  std::vector<PageRun> others;
  for (const uint64_t page : not_ours) others.push_back({.address = page, .bytes = kPageBytes});
  TRY(tracking.ArmOnly(mappings, RunsOf(Without(stored.extents, others))));
  return tracking;
}

Result<KeptTracking::Task> Keep(pid_t pid, WriteTracking tracking) {
  const ProcessStatus status = TRY(ReadStatus(pid));
  return KeptTracking::Task{pid, status.start_ticks, std::move(tracking).Release()};
}

}  // namespace holdfast
