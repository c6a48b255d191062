#include "store/moved_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "store/manifest_blocks.h"
#include "store/names.h"
#include "store/segment.h"

namespace holdfast {
namespace {

using WantedBlocks = std::unordered_map<BlockKey, uint32_t, BlockKeyHash>;  // the block's index

Result<bool> IsThere(const StoreCore& core, const std::string& segment) {
  return TRY(IfThere(core.backend->Open(SegmentKey(segment)))) != nullptr;
}

// For each segment of the manifest, whether it is gone.
Result<std::vector<bool>> FindGone(const StoreCore& core, const std::vector<std::string>& segments,
                                   size_t own) {
  std::vector<bool> gone(segments.size(), false);
  for (size_t i = own; i < segments.size(); ++i) gone[i] = !TRY(IsThere(core, segments[i]));
  return gone;
}

// Has blocks of `manifest` name the places that blocks of `source` have.
class PlaceTaker {
 public:
  PlaceTaker(const StoreCore& core, const Manifest& source, Manifest& manifest)
      : core_(core), source_(source), manifest_(manifest) {}

  // Whether the block could be had: its segment may be missing.
  Result<bool> Take(const BlockRef& from, uint32_t to) {
    const auto [place, fresh] = place_of_.try_emplace(from.segment);
    if (fresh && TRY(IsThere(core_, source_.segments.at(from.segment)))) {
      place->second = static_cast<uint32_t>(manifest_.segments.size());
      manifest_.segments.push_back(source_.segments.at(from.segment));
    }
    if (!place->second) return false;
    manifest_.blocks[to] = from;
    manifest_.blocks[to].segment = *place->second;
    return true;
  }

 private:
  const StoreCore& core_;
  const Manifest& source_;
  Manifest& manifest_;
  std::unordered_map<uint32_t, std::optional<uint32_t>> place_of_;  // none: that segment is missing
};

// Finds wanted blocks whose content is the same as that of one of `source`.
Result<void> TakeSameContent(const Manifest& source, PlaceTaker& places, WantedBlocks& wanted) {
  for (const BlockRef& block : source.blocks) {
    const auto found = wanted.find(KeyOf(block));
    if (found != wanted.end() && TRY(places.Take(block, found->second))) wanted.erase(found);
  }
  return {};
}

// Finds wanted blocks that the parent has trimmed since: its blocks are in the order in which they were.
Result<void> TakeTrimmed(const Manifest& parent, const IndexInParent& in_parent,
                         const std::vector<PageMask>& named, PlaceTaker& places, WantedBlocks& wanted) {
  const std::vector<PageMask> there = PagesNamed(parent);
  for (auto at = wanted.begin(); at != wanted.end();) {
    const std::optional<uint32_t> index = in_parent(at->first);
    const bool good = index && *index < parent.blocks.size() &&
                      parent.blocks[*index].raw_bytes == at->first.raw_bytes &&
                      (named[at->second] & ~there[*index]) == 0;
    at = good && TRY(places.Take(parent.blocks[*index], at->second)) ? wanted.erase(at) : std::next(at);
  }
  return {};
}

}  // namespace

Result<bool> FollowMovedBlocks(const StoreCore& core, const SnapshotId& parent,
                               const IndexInParent& in_parent, size_t own, Manifest& manifest) {
  const std::vector<bool> gone = TRY(FindGone(core, manifest.segments, own));
  if (std::find(gone.begin(), gone.end(), true) == gone.end()) return false;
  WantedBlocks wanted;
  for (uint32_t i = 0; i < manifest.blocks.size(); ++i) {
    if (gone[manifest.blocks[i].segment]) wanted.emplace(KeyOf(manifest.blocks[i]), i);
  }
  const std::vector<PageMask> named = PagesNamed(manifest);
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
    if (!loaded) continue;
    PlaceTaker places(core, *loaded, manifest);
    TRY(TakeSameContent(*loaded, places, wanted));
    if (source == parent) TRY(TakeTrimmed(*loaded, in_parent, named, places, wanted));
  }
  if (!wanted.empty()) {
    return Fail(ErrorKind::kBusy,
                fmt::format("the parent snapshot of '{}' was removed or compacted meanwhile",
                            manifest.id.lineage))
        .WithHint("try again");
  }
  DropUnusedSegments(manifest, own);
  return true;
}

}  // namespace holdfast
