#include "store/block_moves.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "store/format.h"
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
  const std::vector<PageMask> named = PagesNamed(manifest);
  for (size_t i = 0; i < manifest.blocks.size(); ++i) {
    BlockRef& block = manifest.blocks[i];
    const std::vector<Move>* const moves = moves_of[block.segment];
    if (moves == nullptr) continue;
    const auto move = std::lower_bound(moves->begin(), moves->end(), block.offset,
                                       [](const Move& a, uint64_t offset) { return a.offset < offset; });
    if (move == moves->end() || move->offset != block.offset) continue;
    const SegmentEntry& entry = move->to.entry;
    if (entry.raw_bytes != block.raw_bytes || (named[i] & move->dropped) != 0) continue;
    const std::string& target = names_.at(move->to.segment);
    const auto [number, fresh] =
        number_of.try_emplace(target, static_cast<uint32_t>(manifest.segments.size()));
    if (fresh) {
      manifest.segments.push_back(target);
      moves_of.push_back(nullptr);
    }
    block = {number->second, entry.offset, entry.stored_bytes, entry.raw_bytes, entry.codec, entry.hash};
    targets.insert(target);
  }
  DropUnusedSegments(manifest, 0);
  return targets;
}

std::string BlockMoves::Encode() const {
  std::string out;
  PutBytes(out, format::kMovesMagic);
  PutBytes(out, format::kVersion);
  PutBytes(out, static_cast<uint32_t>(names_.size()));
  for (const std::string& name : names_) out += name;
  PutBytes(out, static_cast<uint64_t>(moves_.size()));
  for (const auto& [segment, moves] : moves_) {
    out += segment;
    PutBytes(out, static_cast<uint64_t>(moves.size()));
    for (const Move& move : moves) {
      PutBytes(out, move.offset);
      PutBytes(out, move.to.segment);
      PutBytes(out, move.to.entry.offset);
      PutBytes(out, move.to.entry.stored_bytes);
      PutBytes(out, move.to.entry.raw_bytes);
      PutBytes(out, move.to.entry.codec);
      PutBytes(out, move.to.entry.hash);
      PutBytes(out, move.dropped);
    }
  }
  PutBytes(out, HashBytes128(AsBytes(out)));
  return out;
}

Result<BlockMoves> BlockMoves::Decode(std::string_view bytes) {
  const Error damaged = Fail(ErrorKind::kCorrupt, "the moves of a compaction are damaged");
  Hash128 hash{};
  if (bytes.size() < hash.size()) return damaged;
  std::memcpy(hash.data(), bytes.end() - hash.size(), hash.size());
  bytes.remove_suffix(hash.size());
  if (HashBytes128(AsBytes(bytes)) != hash) return damaged;
  ByteReader reader(bytes);
  char magic[8];
  uint32_t version = 0;
  uint32_t names = 0;
  if (!reader.Take(magic) || std::memcmp(magic, format::kMovesMagic, sizeof(magic)) != 0 ||
      !reader.Take(version) || version != format::kVersion || !reader.Take(names)) {
    return damaged;
  }
  std::array<char, kSegmentIdBytes> id{};
  BlockMoves read({});
  for (uint32_t i = 0; i < names; ++i) {
    if (!reader.Take(id)) return damaged;
    read.names_.emplace_back(id.data(), id.size());
  }
  uint64_t segments = 0;
  if (!reader.Take(segments)) return damaged;
  for (uint64_t i = 0; i < segments; ++i) {
    uint64_t count = 0;
    if (!reader.Take(id) || !reader.Take(count)) return damaged;
    std::vector<Move>& moves = read.moves_[std::string(id.data(), id.size())];
    for (uint64_t at = 0; at < count; ++at) {
      Move move;
      SegmentEntry& entry = move.to.entry;
      if (!reader.Take(move.offset) || !reader.Take(move.to.segment) || !reader.Take(entry.offset) ||
          !reader.Take(entry.stored_bytes) || !reader.Take(entry.raw_bytes) || !reader.Take(entry.codec) ||
          !reader.Take(entry.hash) || !reader.Take(move.dropped) || move.to.segment >= names) {
        return damaged;
      }
      moves.push_back(move);
    }
  }
  return read;
}

}  // namespace holdfast
