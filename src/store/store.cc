#include "store/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/format.h"
#include "store/names.h"
#include "store/present.h"
#include "store/store_core.h"

namespace holdfast {

struct Store::Impl {
  std::shared_ptr<StoreCore> core;  // shared with pending snapshots, which may outlive the handle
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

namespace {

// The summary of one snapshot, annotations as they are now.
Result<SnapshotSummary> ReadSummary(const StoreCore& core, const SnapshotId& id) {
  const std::unique_ptr<Object> file = TRY(core.OpenManifest(id));
  const std::string key = ManifestKey(id);
  SnapshotSummary summary = TRY(ReadManifestSummary(*file, key));
  if (summary.id != id) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} holds {}", key, summary.id.ToString()))
        .WithHint("somebody renamed or copied it; put it back under its own name");
  }
  summary.annotations = TRY(core.AnnotationsOf(id, std::move(summary.annotations)));
  return summary;
}

}  // namespace

Result<Store> Store::Open(const std::filesystem::path& directory, const StoreOptions& options) {
  return Store(std::make_unique<Impl>(Impl{TRY(OpenStoreDirectory(directory, options))}));
}

const std::filesystem::path& Store::directory() const {
  return impl_->core->directory;
}

std::filesystem::path Store::JobsDirectory() const {
  return impl_->core->directory / "jobs";
}

std::filesystem::path Store::ScratchDirectory() const {
  return impl_->core->directory / "scratch";
}

Result<uint64_t> Store::BytesAvailable() const {
  return impl_->core->backend->BytesAvailable();
}

Result<std::unique_ptr<PendingSnapshot>> Store::Begin(const std::string& lineage, const Manifest* parent) {
  TRY(ValidateLineageName(lineage));
  return MakePendingSnapshot(impl_->core, lineage, parent);
}

Result<std::vector<std::string>> Store::Lineages() const {
  return impl_->core->Lineages();
}

Result<std::vector<SnapshotSummary>> Store::Snapshots(const std::string& lineage) const {
  TRY(ValidateLineageName(lineage));
  const StoreCore& core = *impl_->core;
  const std::vector<uint64_t> versions = TRY(core.Versions(lineage));
  if (versions.empty()) return core.NoSuchLineage(lineage);
  const uint64_t present = PresentVersion(core, lineage, versions).value_or(0);
  std::vector<SnapshotSummary> summaries;
  for (const uint64_t version : versions) {
    const SnapshotId id{lineage, version};
    Result<SnapshotSummary> summary = ReadSummary(core, id);
    if (!summary) {
      if (summary.error().kind == ErrorKind::kNotFound) continue;  // removed since we listed
      if (summary.error().kind != ErrorKind::kCorrupt) return std::move(summary).error();
      // One damaged snapshot must not hide the others.
      SnapshotSummary damaged;
      damaged.id = id;
      damaged.damage = summary.error().message;
      summary = std::move(damaged);
    }
    summary->present = version == present;
    summaries.push_back(*std::move(summary));
  }
  return summaries;
}

Result<SnapshotId> Store::Resolve(const SnapshotId& id) const {
  TRY(ValidateLineageName(id.lineage));
  const StoreCore& core = *impl_->core;
  const std::vector<uint64_t> versions = TRY(core.Versions(id.lineage));
  if (versions.empty()) return core.NoSuchLineage(id.lineage);
  if (id.version == 0) return SnapshotId{id.lineage, TRY(PresentVersion(core, id.lineage, versions))};
  if (!std::binary_search(versions.begin(), versions.end(), id.version))
    return core.NoSuchSnapshot(id, versions);
  return id;
}

Result<Manifest> Store::Load(const SnapshotId& id) const {
  const SnapshotId resolved = TRY(Resolve(id));
  const std::unique_ptr<Object> file = TRY(impl_->core->OpenManifest(resolved));
  const std::string key = ManifestKey(resolved);
  Manifest manifest = TRY(ReadManifest(*file, key));
  if (manifest.id != resolved) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} holds {}", key, manifest.id.ToString()))
        .WithHint("somebody renamed or copied it; put it back under its own name");
  }
  return manifest;
}

Result<std::unique_ptr<BlockReader>> Store::OpenBlocks(const Manifest& manifest) const {
  return MakeBlockReader(*impl_->core, manifest);
}

Result<void> Store::Annotate(const SnapshotId& id, const std::map<std::string, std::string>& annotations) {
  StoreCore& core = *impl_->core;
  const StoreGate gate = TRY(StoreGate::Exclusive(core));
  const SnapshotId resolved = TRY(Resolve(id));
  Annotations all = TRY(ReadSummary(core, resolved)).annotations;
  for (const auto& [key, value] : annotations) {
    if (value.empty()) {
      all.erase(key);
    } else {
      all[key] = value;
    }
  }
  TRY(CheckAnnotations(all));
  return core.backend->Replace(AnnotationsKey(resolved), AsBytes(EncodeAnnotations(all)));
}

Result<void> Store::MakePresent(const SnapshotId& id) {
  const StoreGate gate = TRY(StoreGate::Exclusive(*impl_->core));
  return holdfast::MakePresent(*impl_->core, TRY(Resolve(id)));
}

Result<void> Store::Remove(const SnapshotId& id) {
  if (id.version == 0) return Fail(ErrorKind::kUsage, "removing a snapshot needs its version");
  const StoreGate gate = TRY(StoreGate::Exclusive(*impl_->core));
  const std::vector<uint64_t> lost = TRY(impl_->core->LostVersions(id.lineage));
  if (!std::binary_search(lost.begin(), lost.end(), id.version)) TRY(Resolve(id));
  return RemoveVersions(*impl_->core, id.lineage, {id.version});
}

Result<void> Store::RemoveLineage(const std::string& lineage) {
  TRY(ValidateLineageName(lineage));
  const StoreCore& core = *impl_->core;
  const StoreGate gate = TRY(StoreGate::Exclusive(core));
  std::vector<uint64_t> versions = TRY(core.Versions(lineage));
  const std::vector<uint64_t> lost = TRY(core.LostVersions(lineage));
  versions.insert(versions.end(), lost.begin(), lost.end());
  if (versions.empty()) return core.NoSuchLineage(lineage);
  return RemoveVersions(core, lineage, versions);
}

Result<PruneReport> Store::Prune(const std::string& lineage, const KeepRules& rules, bool dry_run) {
  const StoreGate gate = TRY(StoreGate::Exclusive(*impl_->core));
  return RemoveAndCollect(*impl_->core, lineage, VersionsToRemove(TRY(Snapshots(lineage)), rules), dry_run);
}

Result<PruneReport> Store::Prune(const std::string& lineage, uint64_t keep, bool dry_run) {
  return Prune(lineage, KeepRules{.last = keep}, dry_run);
}

Result<PruneReport> Store::CollectGarbage(bool dry_run) {
  const StoreGate gate = TRY(StoreGate::Exclusive(*impl_->core));
  return RemoveAndCollect(*impl_->core, "", {}, dry_run);
}

Result<CompactReport> Store::Compact(const std::string& lineage, bool dry_run, Progress* progress) {
  if (!lineage.empty()) TRY(ValidateLineageName(lineage));
  if (dry_run) return CompactStore(*impl_->core, lineage, dry_run, progress);
  const StoreLock lock = TRY(Lock("compact"));
  return CompactStore(*impl_->core, lineage, dry_run, progress);
}

Result<StoreLock> Store::Lock(const std::string& name, double wait_seconds) {
  return StoreLock::Take(impl_->core->root.get(), name, wait_seconds);
}

Result<VerifyReport> Store::Verify(bool read_data, Progress* progress) const {
  return VerifyStore(*impl_->core, read_data, progress);
}

}  // namespace holdfast
