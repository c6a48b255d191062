#include "store/moved_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "store/block_key.h"
#include "store/manifest_blocks.h"
#include "store/names.h"
#include "store/segment.h"

namespace holdfast {
namespace {

using WantedBlocks = std::unordered_multimap<BlockKey, uint32_t, BlockKeyHash>;

Result<bool> IsThere(const StoreCore& core, const std::string& segment) {
  const Result<std::unique_ptr<Object>> there = core.backend->Open(SegmentKey(segment));
  if (!there && there.error().kind != ErrorKind::kNotFound) return Error(there.error());
  return there.has_value();
}

// For each segment of the manifest, whether it is gone.
Result<std::vector<bool>> FindGone(const StoreCore& core, const std::vector<std::string>& segments,
                                   size_t own) {
  std::vector<bool> gone(segments.size(), false);
  for (size_t i = own; i < segments.size(); ++i) gone[i] = !TRY(IsThere(core, segments[i]));
  return gone;
}

// Has the wanted blocks name the places that `source` has for them.
Result<void> TakePlaces(const StoreCore& core, const Manifest& source, WantedBlocks& wanted,
                        Manifest& manifest) {
  std::unordered_map<uint32_t, std::optional<uint32_t>> place_of;  // none: that segment is missing
  for (const BlockRef& block : source.blocks) {
    const auto [first, last] = wanted.equal_range(KeyOf(block));
    if (first == last) continue;
    const auto [place, fresh] = place_of.try_emplace(block.segment);
    if (fresh && TRY(IsThere(core, source.segments.at(block.segment)))) {
      place->second = static_cast<uint32_t>(manifest.segments.size());
      manifest.segments.push_back(source.segments.at(block.segment));
    }
    if (!place->second) continue;
    for (auto at = first; at != last; ++at) {
      BlockRef& moved = manifest.blocks[at->second];
      moved = block;
      moved.segment = *place->second;
    }
    wanted.erase(first, last);
  }
  return {};
}

}  // namespace

Result<bool> FollowMovedBlocks(const StoreCore& core, const SnapshotId& parent, size_t own,
                               Manifest& manifest) {
  const std::vector<bool> gone = TRY(FindGone(core, manifest.segments, own));
  if (std::find(gone.begin(), gone.end(), true) == gone.end()) return false;
  WantedBlocks wanted;
  for (uint32_t i = 0; i < manifest.blocks.size(); ++i) {
    if (gone[manifest.blocks[i].segment]) wanted.emplace(KeyOf(manifest.blocks[i]), i);
  }
  std::vector<SnapshotId> sources = {parent};
  const std::vector<uint64_t> versions = TRY(core.Versions(manifest.id.lineage));
  for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
    sources.push_back({manifest.id.lineage, *version});
  }
  for (const SnapshotId& source : sources) {
    if (wanted.empty()) break;
    const Result<std::unique_ptr<Object>> file = core.backend->Open(ManifestKey(source));
    if (!file) continue;  // removed, or never there
    const Result<Manifest> loaded = ReadManifest(**file, ManifestKey(source));
    if (loaded) TRY(TakePlaces(core, *loaded, wanted, manifest));
  }
  if (!wanted.empty()) {
    return Fail(ErrorKind::kBusy,
                fmt::format("the parent snapshot of '{}' was removed meanwhile", manifest.id.lineage));
  }
  DropUnusedSegments(manifest, own);
  return true;
}

}  // namespace holdfast
