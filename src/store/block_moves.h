// Where blocks have gone: old places and new ones, and manifests that are told of it.
#pragma once

#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/live_blocks.h"

namespace holdfast {

class BlockMoves {
 public:
  struct Move {
    uint64_t offset = 0;  // in the old segment
    BlockPlace to;
  };

  // `names`: of the segments that places speak of; must outlive the moves.
  explicit BlockMoves(const std::vector<std::string>& names) : names_(names) {}
  // `moves`: by offset. What is in none of them stays where it is.
  void Add(const std::string& segment, std::vector<Move> moves) { moves_[segment] = std::move(moves); }
  // Whether any of these segments was left.
  bool Concern(const std::vector<std::string>& segments) const;
  // Has the blocks of the manifest say where they lie now, and leaves out segments that none lies in.
  // Returns the segments that blocks have been moved to.
  std::set<std::string> Apply(Manifest& manifest) const;

 private:
  const std::vector<std::string>& names_;
  std::unordered_map<std::string, std::vector<Move>> moves_;
};

}  // namespace holdfast
