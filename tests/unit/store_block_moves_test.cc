// The moves of a compaction: as bytes, and what they make of a manifest.
#include "store/block_moves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/manifest_codec.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;

const std::string kOld(kSegmentIdBytes, 'a');
const std::string kNew(kSegmentIdBytes, 'b');
const std::string kOther(kSegmentIdBytes, 'c');

// Two blocks of four pages in the old segment, of the second of which the first page is named; one elsewhere.
Manifest TwoOfThreeMove() {
  Manifest manifest;
  manifest.id = {"job", 7};
  manifest.segments = {kOther, kOld};
  for (uint32_t i = 0; i < 3; ++i) {
    BlockRef block;
    block.segment = i == 0 ? 0 : 1;
    block.offset = 64 + 1000 * i;
    block.stored_bytes = 900;
    block.raw_bytes = 4 * kPageBytes;
    block.codec = Codec::kZstd;
    block.hash[0] = static_cast<uint8_t>(i);
    manifest.blocks.push_back(block);
    manifest.address_spaces.resize(1);
    manifest.address_spaces[0].extents.push_back({i * 0x10000, i == 2 ? 1U : 4U, i, 0, false});
  }
  return manifest;
}

BlockMoves Moves(PageMask dropped) {
  BlockMoves moves({kOld, kNew});
  const SegmentEntry whole{64, 900, 4 * kPageBytes, Codec::kZstd, {1}, 0};
  const SegmentEntry trimmed{964, 300, 4 * kPageBytes, Codec::kZstd, {9}, 1};
  moves.Add(kOld, {{1064, {1, whole}, 0}, {2064, {1, trimmed}, dropped}});
  return moves;
}

TEST(BlockMoves, SayWhereBlocksLieNow) {
  Manifest manifest = TwoOfThreeMove();
  const BlockMoves moves = Moves(0b1110);
  EXPECT_TRUE(moves.Concern(manifest.segments));
  EXPECT_THAT(moves.Apply(manifest), ElementsAre(kNew));
  EXPECT_THAT(manifest.segments, ElementsAre(kOther, kNew));
  EXPECT_EQ(manifest.blocks[0].offset, 64U);
  EXPECT_EQ(manifest.blocks[0].segment, 0U);
  EXPECT_EQ(manifest.blocks[1].offset, 64U);
  EXPECT_EQ(manifest.blocks[1].segment, 1U);
  EXPECT_EQ(manifest.blocks[2].stored_bytes, 300U);
  EXPECT_EQ(manifest.blocks[2].hash[0], 9U);
  EXPECT_FALSE(moves.Concern(manifest.segments));
}

TEST(BlockMoves, LeaveABlockOfWhichADroppedPageIsNamed) {
  Manifest manifest = TwoOfThreeMove();
  Moves(0b0001).Apply(manifest);
  EXPECT_THAT(manifest.segments, ElementsAre(kOther, kOld, kNew));
  EXPECT_EQ(manifest.blocks[2].segment, 1U);
  EXPECT_EQ(manifest.blocks[2].offset, 2064U);
  EXPECT_EQ(manifest.blocks[1].segment, 2U);
}

TEST(BlockMoves, AreTheSameAfterTheyWereWrittenDown) {
  const std::string bytes = Moves(0b1110).Encode();
  const Result<BlockMoves> read = BlockMoves::Decode(bytes);
  ASSERT_TRUE(read) << read.error().message;
  Manifest direct = TwoOfThreeMove();
  Manifest by_read = direct;
  Moves(0b1110).Apply(direct);
  read->Apply(by_read);
  EXPECT_EQ(by_read.segments, direct.segments);
  for (size_t i = 0; i < direct.blocks.size(); ++i) {
    EXPECT_TRUE(SameBlock(EntryOf(by_read.blocks[i]), EntryOf(direct.blocks[i]))) << i;
  }
}

TEST(BlockMoves, ThatAreDamagedAreRefused) {
  const std::string bytes = Moves(0).Encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_FALSE(BlockMoves::Decode(bytes.substr(0, i))) << i;
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    EXPECT_FALSE(BlockMoves::Decode(changed)) << i;
  }
}

class BytesObject final : public Object {
 public:
  explicit BytesObject(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  uint64_t bytes() const override { return bytes_.size(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(BlockMoves, ChangeTwoSectionsOfAManifest) {
  Manifest manifest = TwoOfThreeMove();
  EncodedManifest encoded = EncodedManifest::Make(manifest, {{"note", "kept"}}, 1).value();
  encoded.SetVersion(7);
  const BytesObject before(encoded.bytes());
  Moves(0b1110).Apply(manifest);
  const BytesObject after(EncodedManifest::Moved(before, "m", manifest, 1)->bytes());
  EXPECT_EQ(ReadManifestSummary(after, "m")->annotations.at("note"), "kept");
  const Manifest read = ReadManifest(after, "m").value();
  EXPECT_EQ(read.id, (SnapshotId{"job", 7}));
  EXPECT_EQ(read.segments, manifest.segments);
  EXPECT_EQ(read.blocks[2].hash, manifest.blocks[2].hash);
  EXPECT_EQ(read.address_spaces.at(0).extents.size(), 3U);
}

}  // namespace
}  // namespace holdfast
