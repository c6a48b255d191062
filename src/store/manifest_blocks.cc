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

PageMask AllPages(uint32_t raw_bytes) {
  const uint64_t pages = (raw_bytes + kPageBytes - 1) / kPageBytes;
  return static_cast<PageMask>((uint64_t{1} << pages) - 1);
}

std::vector<PageMask> PagesNamed(const Manifest& manifest) {
  std::vector<PageMask> named(manifest.blocks.size(), 0);
  const auto name_extents = [&named](const std::vector<Extent>& extents) {
    for (const Extent& extent : extents) {
      if (extent.block == kZeroBlock) continue;
      const uint64_t run = ((uint64_t{1} << extent.pages) - 1) << extent.first_page;
      named.at(extent.block) |= static_cast<PageMask>(run);
    }
  };
  const auto name_blob = [&](const Blob& blob) {
    for (const uint32_t block : blob.blocks) {
      if (block != kZeroBlock) named.at(block) = AllPages(manifest.blocks.at(block).raw_bytes);
    }
  };
  for (const AddressSpace& space : manifest.address_spaces) name_extents(space.extents);
  for (const SharedObject& object : manifest.shared_objects) name_extents(object.extents);
  for (const ImageFile& image : manifest.images) name_blob(image.content);
  for (const FileState& file : manifest.files) name_blob(file.content);
  return named;
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
