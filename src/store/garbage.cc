// Removing snapshots, and the segments and leftovers that nothing needs. Everything here runs with the gate
// held exclusively, so no commit is under way: a segment with a name is named by a manifest or garbage.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "store/format.h"
#include "store/names.h"
#include "store/present.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

// The segments that snapshots other than `versions` of `lineage` need.
Result<std::set<std::string>> SegmentsInUse(const StoreCore& core, const std::string& lineage,
                                            const std::set<uint64_t>& versions) {
  std::set<std::string> used;
  for (const std::string& name : TRY(core.Lineages())) {
    for (const uint64_t version : TRY(core.Versions(name))) {
      if (name == lineage && versions.contains(version)) continue;
      const SnapshotId id{name, version};
      const std::unique_ptr<Object> file = TRY(core.OpenManifest(id));
      Result<std::vector<std::string>> segments = ReadManifestSegments(*file, ManifestKey(id));
      if (!segments) {
        return std::move(segments)
            .error()
            .Within("nothing is freed")
            .WithHint(
                fmt::format("what {} needs is not known; restore its manifest or remove it with holdfast rm",
                            id.ToString()));
      }
      used.insert(segments->begin(), segments->end());
    }
  }
  return used;
}

Result<void> CollectSegments(const StoreCore& core, const std::set<std::string>& used, bool dry_run,
                             PruneReport& report) {
  for (const ObjectInfo& object : TRY(core.backend->List(std::string(format::kSegmentFolder)))) {
    const std::optional<std::string> id = SegmentIdOfFile(object.name);
    if (!id || used.contains(*id)) continue;
    if (!dry_run) TRY(core.backend->Delete(SegmentKey(*id)));
    ++report.segments_removed;
    report.bytes_freed += object.bytes;
  }
  return {};
}

// Annotations whose manifest is gone, because its removal was cut short, and marks of removal below the
// highest.
Result<void> CollectBesideManifests(const StoreCore& core, const std::string& lineage, PruneReport& report) {
  const std::vector<uint64_t> versions = TRY(core.Versions(lineage));
  const std::vector<uint64_t> lost = TRY(core.LostVersions(lineage));
  std::set<uint64_t> there(versions.begin(), versions.end());
  there.insert(lost.begin(), lost.end());
  const uint64_t highest = TRY(core.HighWater(lineage));
  for (const ObjectInfo& object : TRY(core.backend->List(LineageFolder(lineage)))) {
    const uint64_t annotated = VersionOfFile(object.name, format::kAnnotationsSuffix).value_or(0);
    const uint64_t removed = VersionOfFile(object.name, format::kRemovedSuffix).value_or(0);
    const bool useless =
        (annotated != 0 && !there.contains(annotated)) || (removed != 0 && removed < highest);
    if (!useless) continue;
    TRY(core.backend->Delete(LineageFolder(lineage) + object.name));
    report.bytes_freed += object.bytes;
  }
  return CollectPresent(core, lineage);
}

Result<void> CollectUploads(const StoreCore& core, const std::string& folder, bool dry_run,
                            PruneReport& report) {
  for (const ObjectInfo& upload : TRY(core.backend->CollectAbandoned(folder, dry_run))) {
    report.bytes_freed += upload.bytes;
  }
  return {};
}

}  // namespace

Result<void> RemoveVersions(const StoreCore& core, const std::string& lineage,
                            const std::vector<uint64_t>& versions) {
  if (versions.empty()) return {};
  // The highest version ever used must stay known: by a manifest that stays, or by a file without content,
  // which even a full file system takes.
  const uint64_t highest = *std::max_element(versions.begin(), versions.end());
  if (highest == TRY(core.HighWater(lineage))) {
    Result<void> created = core.backend->Create(RemovedKey({lineage, highest}), {});
    if (!created && created.error().kind != ErrorKind::kExists) return created;
  }
  for (const uint64_t version : versions) {
    const SnapshotId id{lineage, version};
    // The mark first: cut short here, the snapshot is still there, and nobody misses it later. The manifest
    // may be lost already.
    for (const std::string& key : {CommittedKey(id), ManifestKey(id), AnnotationsKey(id)}) {
      Result<void> deleted = core.backend->Delete(key);
      if (!deleted && deleted.error().kind != ErrorKind::kNotFound) return deleted;
    }
  }
  return CollectPresent(core, lineage);
}

Result<PruneReport> RemoveAndCollect(const StoreCore& core, const std::string& lineage,
                                     const std::vector<uint64_t>& versions, bool dry_run) {
  const std::set<uint64_t> doomed(versions.begin(), versions.end());
  const std::set<std::string> used = TRY(SegmentsInUse(core, lineage, doomed));
  PruneReport report;
  for (const uint64_t version : versions) {
    const SnapshotId id{lineage, version};
    report.bytes_freed += TRY(core.OpenManifest(id))->bytes();
    report.removed.push_back(id);
  }
  if (!dry_run) TRY(RemoveVersions(core, lineage, versions));
  TRY(CollectSegments(core, used, dry_run, report));
  TRY(CollectUploads(core, "", dry_run, report));
  TRY(CollectUploads(core, std::string(format::kSegmentFolder), dry_run, report));
  for (const std::string& name : TRY(core.Lineages(/*all=*/true))) {
    TRY(CollectUploads(core, LineageFolder(name), dry_run, report));
    if (!dry_run) TRY(CollectBesideManifests(core, name, report));
  }
  return report;
}

}  // namespace holdfast
