#include "store/block_moves.h"

#include <algorithm>

#include "store/manifest_blocks.h"

namespace holdfast {

bool BlockMoves::Concern(const std::vector<std::string>& segments) const {
  return std::any_of(segments.begin(), segments.end(),
                     [this](const std::string& segment) { return moves_.contains(segment); });
}

std::set<std::string> BlockMoves::Apply(Manifest& manifest) const {
  std::vector<const std::vector<Move>*> moves_of;
  for (const std::string& segment : manifest.segments) {
    const auto found = moves_.find(segment);
    moves_of.push_back(found == moves_.end() ? nullptr : &found->second);
  }
  std::unordered_map<std::string, uint32_t> number_of;
  for (uint32_t i = 0; i < manifest.segments.size(); ++i) number_of.emplace(manifest.segments[i], i);
  std::set<std::string> targets;
  for (BlockRef& block : manifest.blocks) {
    const std::vector<Move>* const moves = moves_of[block.segment];
    if (moves == nullptr) continue;
    const auto move = std::lower_bound(moves->begin(), moves->end(), block.offset,
                                       [](const Move& a, uint64_t offset) { return a.offset < offset; });
    if (move == moves->end() || move->offset != block.offset) continue;
    const std::string& target = names_[move->to.segment];
    const auto [number, fresh] =
        number_of.try_emplace(target, static_cast<uint32_t>(manifest.segments.size()));
    if (fresh) {
      manifest.segments.push_back(target);
      moves_of.push_back(nullptr);
    }
    block.segment = number->second;
    block.offset = move->to.offset;
    targets.insert(target);
  }
  DropUnusedSegments(manifest, 0);
  return targets;
}

}  // namespace holdfast
