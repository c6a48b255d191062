// Where blocks have gone: old places and new ones, and manifests that are told of it.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "store/live_blocks.h"

namespace holdfast {

class BlockMoves {
 public:
  struct Move {
    uint64_t offset = 0;  // in the old segment
    PlacedBlock to;
    PageMask dropped = 0;  // pages that the block did not take along
  };

  // `names`: of the segments that places speak of.
  explicit BlockMoves(std::vector<std::string> names) : names_(std::move(names)) {}
  // `moves`: by offset. What is in none of them stays where it is.
  void Add(const std::string& segment, std::vector<Move> moves) { moves_[segment] = std::move(moves); }
  // Whether any of these segments was left.
  bool Concern(const std::vector<std::string>& segments) const;
  // Has the blocks of the manifest say where they lie now, and leaves out segments that none lies in. A block
  // that did not take along all of the pages that the manifest names stays. Returns the segments that blocks
  // have been moved to.
  std::set<std::string> Apply(Manifest& manifest) const;

  // As docs/store-format.md has them, "The moves of a compaction".
  std::string Encode() const;
  static Result<BlockMoves> Decode(std::string_view bytes);

 private:
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::vector<Move>> moves_;
};

}  // namespace holdfast
