#include "store/manifest_blocks.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {
namespace {

// Every place in the manifest that names a block.
template <typename Visit>
void ForEachReference(Manifest& manifest, const Visit& visit) {
  const auto visit_named = [&visit](uint32_t& block) {
    if (block != kZeroBlock) visit(block);
  };
  for (AddressSpace& space : manifest.address_spaces) {
    for (Extent& extent : space.extents) visit_named(extent.block);
  }
  for (SharedObject& object : manifest.shared_objects) {
    for (Extent& extent : object.extents) visit_named(extent.block);
  }
  for (ImageFile& image : manifest.images) {
    for (uint32_t& block : image.content.blocks) visit_named(block);
  }
  for (FileState& file : manifest.files) {
    for (uint32_t& block : file.content.blocks) visit_named(block);
  }
}

}  // namespace

void DropUnusedBlocks(Manifest& manifest) {
  constexpr uint32_t kUnused = kZeroBlock;
  std::vector<uint32_t> place(manifest.blocks.size(), kUnused);
  bool fits = true;
  ForEachReference(manifest, [&](uint32_t& block) {
    if (block < place.size()) {
      place[block] = 0;
    } else {
      fits = false;  // left to the check of the whole
    }
  });
  if (!fits) return;
  std::vector<BlockRef> used;
  for (size_t i = 0; i < place.size(); ++i) {
    if (place[i] == kUnused) continue;
    place[i] = static_cast<uint32_t>(used.size());
    used.push_back(manifest.blocks[i]);
  }
  manifest.blocks = std::move(used);
  MoveBlocks(manifest, place);
}

void MoveBlocks(Manifest& manifest, const std::vector<uint32_t>& place) {
  ForEachReference(manifest, [&place](uint32_t& block) { block = place.at(block); });
}

void DropUnusedSegments(Manifest& manifest, size_t kept) {
  std::vector<bool> used(manifest.segments.size(), false);
  std::fill_n(used.begin(), std::min(kept, used.size()), true);
  for (const BlockRef& block : manifest.blocks) used.at(block.segment) = true;
  std::vector<uint32_t> place(used.size());
  std::vector<std::string> segments;
  for (size_t i = 0; i < used.size(); ++i) {
    place[i] = static_cast<uint32_t>(segments.size());
    if (used[i]) segments.push_back(std::move(manifest.segments[i]));
  }
  manifest.segments = std::move(segments);
  for (BlockRef& block : manifest.blocks) block.segment = place[block.segment];
}

}  // namespace holdfast
