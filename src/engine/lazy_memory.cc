#include "engine/lazy_memory.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/page.h"
#include "engine/memory_advice.h"
#include "linux/missing_pages.h"
#include "linux/pagemap_scan.h"
#include "linux/proc.h"
#include "linux/write_protection.h"
#include "memory/known_pages.h"

namespace holdfast {
namespace {

bool Overlaps(const std::vector<PageRun>& runs, const Mapping& mapping) {
  return std::any_of(runs.begin(), runs.end(), [&](const PageRun& run) {
    return run.address < mapping.end && mapping.start < run.address + run.bytes;
  });
}

bool HoldsStored(const Mapping& mapping, const std::vector<Extent>& extents) {
  const auto first = std::partition_point(extents.begin(), extents.end(), [&](const Extent& extent) {
    return extent.address + extent.pages * kPageBytes <= mapping.start;
  });
  return first != extents.end() && first->address < mapping.end;
}

PageRun RunOf(const Mapping& mapping) {
  return {.address = mapping.start, .bytes = mapping.bytes()};
}

// Of its own, as the one that tells of missing pages cannot stay.
Result<Fd> MakeTrackingUserfaultfd(const RestoredTask& task) {
  WriteProtection enabled = TRY(WriteProtection::Enable(TRY(MakeUserfaultfd(task, FaultsOf::kInstructions))));
  return std::move(enabled).Release();
}

}  // namespace

Result<LazyTask> MakeLazy(const RestoredTask& task, const Manifest& manifest, const AddressSpace& stored,
                          bool track) {
  LazyTask lazy{.pid = task.pid,
                .stored = &stored,
                .userfaultfd = TRY(MakeUserfaultfd(task, FaultsOf::kEverything)),
                .missing = {},
                .now = {},
                .tracking = {}};
  const MissingPages pages(lazy.userfaultfd.get());
  if (track) {
    if (Result<Fd> tracking = MakeTrackingUserfaultfd(task)) lazy.tracking = *std::move(tracking);
  }
  const bool tracked = lazy.tracking.valid();
  TRY(pages.Enable(tracked ? MissingPages::Events::kAllAndWrites : MissingPages::Events::kAll));
  const auto writes = tracked ? MissingPages::Writes::kMarked : MissingPages::Writes::kNotMarked;
  const PagemapScanner scanner = TRY(PagemapScanner::Open(task.pid));
  const std::vector<PageRun> wiped = TRY(WipedInChildren(manifest, task.pid_in_namespace));
  std::vector<PageRun> registered;
  std::vector<PageRun> occupied;
  for (const Mapping& mapping : TRY(ReadMaps(task.pid))) {
    if (!IsAnonymous(mapping) || Overlaps(wiped, mapping)) continue;
    if (!HoldsStored(mapping, stored.extents)) continue;
    if (!pages.Register(mapping.start, mapping.end, writes)) continue;
    registered.push_back(RunOf(mapping));
    for (const PageRegion& region : TRY(scanner.Occupied(mapping.start, mapping.end)))
      occupied.push_back({.address = region.start, .bytes = region.bytes()});
  }
  lazy.now.pid = stored.pid;
  lazy.now.extents = Without(stored.extents, registered);
  const std::vector<Extent> later = Within(stored.extents, registered);
  const std::vector<Extent> there = Within(later, occupied);
  lazy.now.extents.insert(lazy.now.extents.end(), there.begin(), there.end());
  SortExtents(lazy.now.extents);
  for (const Extent& extent : Without(later, occupied)) {
    if (extent.block == kZeroBlock) continue;  // as every place in which nothing is missing
    lazy.missing.Add({extent.address, extent.address + extent.pages * kPageBytes, extent.address});
  }
  return lazy;
}

}  // namespace holdfast
