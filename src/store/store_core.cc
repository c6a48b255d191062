#include "store/store_core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <span>

#include "store/format.h"
#include "store/names.h"

namespace holdfast {
Result<std::vector<std::string>> StoreCore::Lineages(bool all) const {
  std::vector<std::string> lineages;
  for (std::string& folder : TRY(backend->ListFolders(std::string(format::kSnapshotFolder)))) {
    if (!ValidateLineageName(folder)) continue;
    if (all || !TRY(Versions(folder)).empty()) lineages.push_back(std::move(folder));
  }
  return lineages;
}

Result<std::vector<uint64_t>> StoreCore::Versions(const std::string& lineage) const {
  std::vector<uint64_t> versions;
  for (const ObjectInfo& object : TRY(backend->List(LineageFolder(lineage)))) {
    const std::optional<uint64_t> version = VersionOfFile(object.name, format::kManifestSuffix);
    if (version) versions.push_back(*version);
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

Result<std::vector<uint64_t>> StoreCore::LostVersions(const std::string& lineage) const {
  std::set<uint64_t> lost;
  const std::vector<ObjectInfo> objects = TRY(backend->List(LineageFolder(lineage)));
  for (const ObjectInfo& object : objects) {
    const std::optional<uint64_t> version = VersionOfFile(object.name, format::kCommittedSuffix);
    if (version) lost.insert(*version);
  }
  for (const ObjectInfo& object : objects) {
    lost.erase(VersionOfFile(object.name, format::kManifestSuffix).value_or(0));
  }
  return std::vector<uint64_t>(lost.begin(), lost.end());
}

Result<uint64_t> StoreCore::HighWater(const std::string& lineage) const {
  uint64_t highest = 0;
  for (const ObjectInfo& object : TRY(backend->List(LineageFolder(lineage)))) {
    for (const std::string_view suffix :
         {format::kManifestSuffix, format::kCommittedSuffix, format::kRemovedSuffix}) {
      highest = std::max(highest, VersionOfFile(object.name, suffix).value_or(0));
    }
  }
  return highest;
}

Error StoreCore::NoSuchLineage(const std::string& lineage) const {
  Error error = Fail(ErrorKind::kNotFound, fmt::format("there is no snapshot of '{}'", lineage));
  const Result<std::vector<std::string>> known = Lineages();
  if (!known) return error;
  const std::vector<std::string> near = NearNames(lineage, *known);
  if (!near.empty()) return std::move(error).WithHint(fmt::format("did you mean {}?", fmt::join(near, ", ")));
  if (known->empty())
    return std::move(error).WithHint(fmt::format("the store {} has no snapshots", directory.string()));
  return error;
}

Error StoreCore::NoSuchSnapshot(const SnapshotId& id, const std::vector<uint64_t>& versions) const {
  if (versions.empty()) return NoSuchLineage(id.lineage);
  constexpr size_t kShownMax = 8;
  const size_t shown = std::min(versions.size(), kShownMax);
  const std::span<const uint64_t> newest = std::span(versions).last(shown);
  return Fail(ErrorKind::kNotFound, fmt::format("there is no snapshot {}", id.ToString()))
      .WithHint(fmt::format("'{}' has the versions {}{}", id.lineage, shown < versions.size() ? "..., " : "",
                            fmt::join(newest, ", ")));
}

Result<std::unique_ptr<Object>> StoreCore::OpenManifest(const SnapshotId& id) const {
  Result<std::unique_ptr<Object>> manifest = backend->Open(ManifestKey(id));
  if (manifest || manifest.error().kind != ErrorKind::kNotFound) return manifest;
  return NoSuchSnapshot(id, TRY(Versions(id.lineage)));
}

Result<Annotations> StoreCore::AnnotationsOf(const SnapshotId& id, Annotations at_commit) const {
  const std::string key = AnnotationsKey(id);
  const std::unique_ptr<Object> file = TRY(IfThere(backend->Open(key)));
  if (file == nullptr) return at_commit;
  if (file->bytes() > format::kJsonSectionBytesMax) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} has {} bytes, too many", key, file->bytes()));
  }
  std::string text(file->bytes(), '\0');
  TRY(file->ReadAt(0, std::as_writable_bytes(std::span(text))));
  return DecodeAnnotations(text, key);
}

}  // namespace holdfast
