#include "engine/written_last.h"

#include <set>
#include <utility>

#include "base/page.h"

namespace holdfast {
namespace {

// Where a block lies says nothing: compaction moves the old and the new ones alike.
using Content = std::pair<decltype(BlockRef::hash), uint32_t>;

Content ContentOf(const BlockRef& block) {
  return {block.hash, block.raw_bytes};
}

}  // namespace

std::vector<Stretch> WrittenLast(const Manifest& manifest, const Manifest& parent) {
  std::set<Content> before;
  for (const BlockRef& block : parent.blocks) before.insert(ContentOf(block));
  std::vector<bool> is_new;
  is_new.reserve(manifest.blocks.size());
  for (const BlockRef& block : manifest.blocks) is_new.push_back(!before.contains(ContentOf(block)));
  std::vector<Stretch> stretches;
  for (const AddressSpace& space : manifest.address_spaces) {
    for (const Extent& extent : space.extents) {
      if (extent.block == kZeroBlock || !is_new.at(extent.block)) continue;
      const uint64_t bytes = extent.pages * kPageBytes;
      const bool continues = !stretches.empty() && stretches.back().pid == space.pid &&
                             stretches.back().address + stretches.back().bytes == extent.address;
      if (continues) {
        stretches.back().bytes += bytes;
      } else {
        stretches.push_back({space.pid, extent.address, bytes});
      }
    }
  }
  return stretches;
}

}  // namespace holdfast
