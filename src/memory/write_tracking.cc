#include "memory/write_tracking.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/page.h"
#include "base/parallel.h"
#include "base/units.h"
#include "memory/tracking_descriptor.h"

namespace holdfast {
namespace {

// Only anonymous memory is tracked. A page of a private file mapping that is discarded leaves its protection
// in the empty place, where the file's own page is to be seen again and the next copy of it seems unwritten;
// and pages of hugetlbfs the kernel protects only with a feature of its own.
bool IsTracked(const Mapping& mapping) {
  return IsAnonymous(mapping);
}

void Append(std::vector<PageRun>& runs, uint64_t start, uint64_t end, bool huge, const Mapping& mapping) {
  const bool over_file = mapping.inode != 0;
  if (!runs.empty() && runs.back().address + runs.back().bytes == start && runs.back().huge == huge &&
      runs.back().over_file == over_file) {
    runs.back().bytes += end - start;
  } else {
    runs.push_back({start, end - start, huge, over_file});
  }
}

void Append(std::vector<PageRun>& runs, const std::vector<PageRegion>& pages, const Mapping& mapping) {
  for (const PageRegion& region : pages) {
    Append(runs, region.start, region.end, (region.categories & kPageHuge) != 0, mapping);
  }
}

// Fewer and longer ones, each of which is one question to the kernel.
std::vector<PageRegion> Coalesce(const std::vector<PageRegion>& regions) {
  constexpr uint64_t kGapBytesMax = 16 * kPageBytes;
  std::vector<PageRegion> longer;
  for (const PageRegion& region : regions) {
    if (!longer.empty() && region.start - longer.back().end <= kGapBytesMax) {
      longer.back().end = region.end;
    } else {
      longer.push_back(region);
    }
  }
  return longer;
}

// The pages of a registered mapping that were written to; `unprotected` as the scanner told. With `arm` they
// are protected by the same question.
Result<std::vector<PageRegion>> WrittenAmong(const PagemapScanner& scanner,
                                             const std::vector<PageRegion>& unprotected, bool arm) {
  std::vector<PageRegion> written;
  for (const PageRegion& region : Coalesce(unprotected)) {
    const std::vector<PageRegion> pages = arm ? TRY(scanner.Protect(region.start, region.end))
                                              : TRY(scanner.UnprotectedPages(region.start, region.end));
    std::copy_if(pages.begin(), pages.end(), std::back_inserter(written), [](const PageRegion& page) {
      return (page.categories & (kPageFile | kPageZeroFrame)) == 0;  // which Protect returns, too
    });
  }
  return written;
}

// As much of a mapping as one thread looks at.
struct Stretch {
  const Mapping* mapping = nullptr;
  bool registered = false;
  uint64_t start = 0;
  uint64_t end = 0;
};

constexpr uint64_t kStretchBytesMax = 128 * kMiB;

void Append(std::vector<Stretch>& stretches, const Mapping& mapping, bool registered) {
  for (uint64_t at = mapping.start; at < mapping.end; at += kStretchBytesMax) {
    stretches.push_back({&mapping, registered, at, std::min(mapping.end, at + kStretchBytesMax)});
  }
}

// Starting threads takes as long as looking at some hundred MiB.
unsigned ThreadsFor(const std::vector<Stretch>& stretches) {
  constexpr uint64_t kBytesPerThreadMin = 256 * kMiB;
  uint64_t bytes = 0;
  for (const Stretch& stretch : stretches) bytes += stretch.end - stretch.start;
  return static_cast<unsigned>(std::clamp<uint64_t>(bytes / kBytesPerThreadMin, 1, CoreCount()));
}

// What is in none of `regions`.
void AppendRest(std::vector<PageRun>& runs, const std::vector<PageRegion>& regions, const Stretch& stretch) {
  uint64_t from = stretch.start;
  for (const PageRegion& region : regions) {
    if (region.start > from) Append(runs, from, region.start, false, *stretch.mapping);
    from = region.end;
  }
  if (from < stretch.end) Append(runs, from, stretch.end, false, *stretch.mapping);
}

// In a mapping that is not registered: marks are left from elsewhere there and mean nothing, so that every
// page counts as written.
Result<void> FindAll(const PagemapScanner& scanner, const Stretch& stretch, WriteTracking::Found& found) {
  Append(found.written, TRY(scanner.PrivatePages(stretch.start, stretch.end)), *stretch.mapping);
  return {};
}

Result<void> FindMarked(const PagemapScanner& scanner, const Stretch& stretch, bool arm,
                        WriteTracking::Found& found) {
  const std::vector<PageRegion> unprotected = TRY(scanner.Unprotected(stretch.start, stretch.end));
  Append(found.written, TRY(WrittenAmong(scanner, unprotected, arm)), *stretch.mapping);
  AppendRest(found.unwritten, unprotected, stretch);
  return {};
}

}  // namespace

Result<WriteTracking> WriteTracking::Begin(pid_t pid, const StoppedProcess& stopped) {
  return Begin(pid, TRY(MakeTrackingDescriptor(pid, stopped)));
}

Result<WriteTracking> WriteTracking::Begin(pid_t pid, Fd userfaultfd) {
  WriteTracking tracking(pid, TRY(WriteProtection::Enable(std::move(userfaultfd))));
  if (TRY(tracking.IsCurrent(TRY(ReadMaps(pid))))) {
    return Fail(ErrorKind::kBusy, fmt::format("writes of process {} are tracked already", pid));
  }
  return tracking;
}

Result<bool> WriteTracking::IsCurrent(const std::vector<Mapping>& mappings) const {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  for (const Mapping& mapping : mappings) {
    if (IsTracked(mapping) && TRY(scanner.IsRegistered(mapping.start))) return true;
  }
  return false;
}

Result<void> WriteTracking::Register(const std::vector<Mapping>& mappings) {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  for (const Mapping& mapping : mappings) {
    if (!IsTracked(mapping) || TRY(scanner.IsRegistered(mapping.start))) continue;
    // One that the kernel does not take counts as written for ever.
    if (protection_.Register(mapping.start, mapping.end)) new_.push_back(mapping);
  }
  return {};
}

// Pages that were moved there (mremap) may have marks on them that are left from elsewhere. Taken for a
// protection that is in force, they would hide every write to come.
Result<void> WriteTracking::ClearNew(const PagemapScanner& scanner) {
  for (const Mapping& mapping : std::exchange(new_, {})) {
    if (!TRY(scanner.HasProtected(mapping.start, mapping.end))) continue;
    if (!protection_.Clear(mapping.start, mapping.end)) {
      return Fail(ErrorKind::kBusy, fmt::format("process {} unmaps too much to be tracked", pid_));
    }
  }
  return {};
}

Result<WriteTracking::Armed> WriteTracking::Arm(const std::vector<Mapping>& mappings) {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  TRY(ClearNew(scanner));
  Armed armed;
  for (const Mapping& mapping : mappings) {
    if (!IsTracked(mapping)) continue;
    for (const PageRegion& region : TRY(scanner.Protect(mapping.start, mapping.end))) {
      // Looked at after it was discarded, a page is the one of zeros that all share.
      const bool zeros = (region.categories & kPageZeroFrame) != 0;
      Append(zeros ? armed.emptied : armed.written, {region}, mapping);
    }
  }
  return armed;
}

Result<void> WriteTracking::ArmOnly(const std::vector<Mapping>& mappings, const std::vector<PageRun>& runs) {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  TRY(ClearNew(scanner));
  auto run = runs.begin();
  for (const Mapping& mapping : mappings) {
    while (run != runs.end() && run->address + run->bytes <= mapping.start) ++run;
    if (!IsTracked(mapping)) continue;
    for (auto at = run; at != runs.end() && at->address < mapping.end; ++at) {
      const uint64_t start = std::max(at->address, mapping.start);
      const uint64_t end = std::min(at->address + at->bytes, mapping.end);
      for (const PageRegion& region : TRY(scanner.Protect(start, end))) {
        // A page that is zeros again seems unwritten from then on.
        if ((region.categories & kPageZeroFrame) == 0 || protection_.Clear(region.start, region.end))
          continue;
        return Fail(ErrorKind::kBusy, fmt::format("process {} has changed its memory", pid_));
      }
    }
  }
  return {};
}

Result<WriteTracking::Found> WriteTracking::Find(const std::vector<Mapping>& mappings, bool arm) {
  // Opened anew each time: after an exec an open one would show the address space that was left.
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  std::vector<Stretch> stretches;
  for (const Mapping& mapping : mappings) {
    if (!IsCaptured(mapping)) continue;
    // A file may have been mapped where Arm found anonymous memory.
    Append(stretches, mapping, IsTracked(mapping) && TRY(scanner.IsRegistered(mapping.start)));
  }
  std::vector<Found> parts(stretches.size());
  TRY(ParallelFor(
      stretches.size(),
      [&](size_t i) {
        return stretches[i].registered ? FindMarked(scanner, stretches[i], arm, parts[i])
                                       : FindAll(scanner, stretches[i], parts[i]);
      },
      ThreadsFor(stretches)));
  Found found;
  for (const Found& part : parts) {
    found.written.insert(found.written.end(), part.written.begin(), part.written.end());
    found.unwritten.insert(found.unwritten.end(), part.unwritten.begin(), part.unwritten.end());
  }
  if (!arm) return found;
  TRY(Register(mappings));
  TRY(ClearNew(scanner));
  for (const Stretch& stretch : stretches) {
    if (!stretch.registered) TRY(scanner.Protect(stretch.start, stretch.end));
  }
  return found;
}

Result<std::vector<PageRun>> WriteTracking::Written(const std::vector<Mapping>& mappings) const {
  const PagemapScanner scanner = TRY(PagemapScanner::Open(pid_));
  std::vector<PageRun> runs;
  for (const Mapping& mapping : mappings) {
    if (!IsCaptured(mapping)) continue;
    const bool registered = IsTracked(mapping) && TRY(scanner.IsRegistered(mapping.start));
    std::vector<PageRun> in_mapping;
    Append(in_mapping,
           registered ? TRY(WrittenAmong(scanner, TRY(scanner.Unprotected(mapping.start, mapping.end)),
                                         /*arm=*/false))
                      : TRY(scanner.PrivatePages(mapping.start, mapping.end)),
           mapping);
    runs.insert(runs.end(), in_mapping.begin(), in_mapping.end());
  }
  return runs;
}

bool HasInvisibleWriters(const std::vector<Mapping>& mappings) {
  return std::any_of(mappings.begin(), mappings.end(), [](const Mapping& mapping) {
    // The ring of Linux's AIO: a read that is under way has its pages pinned, as have drivers' buffers.
    return mapping.name.starts_with("/[aio]") || mapping.name.starts_with("anon_inode:") ||
           (mapping.name.starts_with("/dev/") && !mapping.name.starts_with("/dev/shm/") &&
            !mapping.name.starts_with("/dev/zero"));
  });
}

}  // namespace holdfast
