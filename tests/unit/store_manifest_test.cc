// Manifests as bytes, and what a manifest may say.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>

#include "store/manifest_codec.h"
#include "store/names.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

Manifest ValidManifest() {
  Manifest manifest;
  manifest.id = {"job", 1};
  manifest.segments = {std::string(32, 'a')};
  BlockRef block;
  block.stored_bytes = 100;
  block.raw_bytes = 4 * kPageBytes;
  block.codec = Codec::kZstd;
  block.offset = 64;
  manifest.blocks = {block};
  manifest.address_spaces = {
      {1, {{0x1000, 4, 0, 0, false}, {0x9000, 1, 0, 3, true}, {0xa000, 500, kZeroBlock, 0, false}}}};
  manifest.shared_objects = {{7, "/dev/zero", {{0, 2, 0, 2, false}}}};
  manifest.images = {{"core-1.img", {4 * kPageBytes, {0}}}};
  FileState file;
  file.path = "/tmp/x";
  manifest.files = {file};
  FileTree tree;
  tree.path = "/tmp/tree";
  for (const char* const path : {"", "a", "a/b", "link"}) {
    TreeEntry& entry = tree.entries.emplace_back();
    entry.path = path;
    entry.kind = tree.entries.size() < 3 ? TreeEntry::Kind::kDirectory : TreeEntry::Kind::kLink;
    entry.target = "/tmp/x";
    entry.attributes = {{"user.x", std::string("\0\xff", 2)}};
  }
  manifest.trees = {tree};
  manifest.processes.resize(1);
  return manifest;
}

TEST(CheckManifest, TakesWhatFitsTogether) {
  const Result<void> checked = CheckManifest(ValidManifest(), ErrorKind::kCorrupt);
  EXPECT_TRUE(checked) << checked.error().message;
  EXPECT_TRUE(CheckManifest(Manifest(), ErrorKind::kCorrupt));
}

TEST(CheckManifest, RefusesWhatDoesNot) {
  const std::vector<std::pair<const char*, std::function<void(Manifest&)>>> kWrong = {
      {"a segment that is none", [](Manifest& m) { m.segments[0] = "../../etc/passwd"; }},
      {"a block in no segment", [](Manifest& m) { m.blocks[0].segment = 1; }},
      {"an empty block", [](Manifest& m) { m.blocks[0].raw_bytes = 0; }},
      {"a block without stored bytes", [](Manifest& m) { m.blocks[0].stored_bytes = 0; }},
      {"a block that is too long", [](Manifest& m) { m.blocks[0].raw_bytes = limits::kBlockBytesMax + 1; }},
      {"a block of two lengths", [](Manifest& m) { m.blocks[0].codec = Codec::kRaw; }},
      {"an unknown codec", [](Manifest& m) { m.blocks[0].codec = static_cast<Codec>(9); }},
      {"a block beyond any segment", [](Manifest& m) { m.blocks[0].offset = limits::kSegmentBytesMax + 1; }},
      {"an empty extent", [](Manifest& m) { m.address_spaces[0].extents[0].pages = 0; }},
      {"an address within a page", [](Manifest& m) { m.address_spaces[0].extents[0].address = 0x1001; }},
      {"extents that overlap", [](Manifest& m) { m.address_spaces[0].extents[1].address = 0x4000; }},
      {"extents out of order",
       [](Manifest& m) { std::swap(m.address_spaces[0].extents[0], m.address_spaces[0].extents[1]); }},
      {"an extent over the end of the world",
       [](Manifest& m) { m.address_spaces[0].extents[2].address = ~0ull - 0xfff; }},
      {"an extent of no block", [](Manifest& m) { m.address_spaces[0].extents[0].block = 1; }},
      {"a tree that leads elsewhere", [](Manifest& m) { m.trees[0].path = "/tmp/../etc"; }},
      {"a tree without a path", [](Manifest& m) { m.trees[0].path = "tmp"; }},
      {"a tree that is no directory",
       [](Manifest& m) { m.trees[0].entries[0].kind = TreeEntry::Kind::kFile; }},
      {"a tree without itself", [](Manifest& m) { m.trees[0].entries.erase(m.trees[0].entries.begin()); }},
      {"a name that leads out of its tree", [](Manifest& m) { m.trees[0].entries[2].path = "a/../../b"; }},
      {"an absolute name", [](Manifest& m) { m.trees[0].entries[1].path = "/etc"; }},
      {"a name twice", [](Manifest& m) { m.trees[0].entries[2].path = "a"; }},
      {"a name with a NUL", [](Manifest& m) { m.trees[0].entries[3].path = std::string("l\0k", 3); }},
      {"a link that leads nowhere", [](Manifest& m) { m.trees[0].entries[3].target = "x"; }},
      {"an extent past its block", [](Manifest& m) { m.address_spaces[0].extents[1].first_page = 4; }},
      {"a shared extent past its block", [](Manifest& m) { m.shared_objects[0].extents[0].pages = 3; }},
      {"an image of too few blocks", [](Manifest& m) { m.images[0].content.blocks.clear(); }},
      {"an image of too many blocks", [](Manifest& m) { m.images[0].content.blocks.push_back(0); }},
      {"an image whose block has another length", [](Manifest& m) { m.images[0].content.bytes = 5; }},
      {"an image of an absurd length", [](Manifest& m) { m.images[0].content.bytes = UINT64_MAX; }},
      {"an image of no block", [](Manifest& m) { m.images[0].content.blocks[0] = 3; }},
      {"a file of no block",
       [](Manifest& m) {
         m.files[0].content = {5, {77}};
       }},
      {"too many segments",
       [](Manifest& m) { m.segments.resize(limits::kSegmentsPerSnapshotMax + 1, m.segments[0]); }},
  };
  for (const auto& [what, change] : kWrong) {
    Manifest manifest = ValidManifest();
    change(manifest);
    const Result<void> checked = CheckManifest(manifest, ErrorKind::kCorrupt);
    ASSERT_FALSE(checked) << what;
    EXPECT_EQ(checked.error().kind, ErrorKind::kCorrupt) << what;
    EXPECT_NE(checked.error().message, "") << what;
  }
}

class BytesObject final : public Object {
 public:
  explicit BytesObject(std::span<const std::byte> bytes) : bytes_(bytes.begin(), bytes.end()) {}
  uint64_t bytes() const override { return bytes_.size(); }
  Result<void> ReadAt(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
      return Fail(ErrorKind::kCorrupt, "too short");
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(EncodedManifest, TakesItsVersionLast) {
  EncodedManifest encoded = EncodedManifest::Make(ValidManifest(), {}, 1).value();
  for (const uint64_t version : {uint64_t{1}, uint64_t{77}, uint64_t{99'999'999}}) {
    encoded.SetVersion(version);
    const BytesObject object(encoded.bytes());
    EXPECT_EQ(ReadManifest(object, "m")->id.version, version);
    EXPECT_EQ(ReadManifestSummary(object, "m")->id.version, version);
  }
  encoded.SetVersion(0);
  EXPECT_EQ(ReadManifest(BytesObject(encoded.bytes()), "m").error().kind, ErrorKind::kCorrupt);
}

TEST(EncodedManifest, ContradictionsAreAFaultOfOurs) {
  Manifest manifest = ValidManifest();
  manifest.blocks[0].segment = 5;
  EXPECT_EQ(EncodedManifest::Make(manifest, {}, 1).error().kind, ErrorKind::kInternal);
}

TEST(Annotations, ComeBack) {
  const Annotations notes = {
      {"a", "b"}, {"", ""}, {"k\xff", std::string("\0x", 2)}, {"\xc3\xa9", "\xe2\x82\xac"}};
  EXPECT_EQ(DecodeAnnotations(EncodeAnnotations(notes), "n").value(), notes);
}

TEST(Annotations, HaveLimits) {
  Annotations notes;
  for (uint32_t i = 0; i < limits::kAnnotationsMax; ++i) notes["key" + std::to_string(i)] = "v";
  EXPECT_TRUE(CheckAnnotations(notes));
  notes["one more"] = "v";
  EXPECT_EQ(CheckAnnotations(notes).error().kind, ErrorKind::kUsage);
  EXPECT_TRUE(CheckAnnotations({{"a", std::string(limits::kAnnotationBytesMax, 'x')}}));
  EXPECT_FALSE(CheckAnnotations({{"a", std::string(limits::kAnnotationBytesMax + 1, 'x')}}));
  EXPECT_FALSE(CheckAnnotations({{std::string(1000, 'k'), "v"}}));
}

// The sections behind the checksums: what somebody may write who can make checksums.
TEST(ManifestSections, SurviveChangedBytes) {
  using namespace manifest_sections;  // NOLINT(google-build-using-namespace)
  const uint64_t seed = TestSeed();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const Manifest manifest = ValidManifest();
  const auto change = [&](std::string bytes) {
    for (uint64_t i = 0; i <= random() % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    return bytes;
  };
  const auto expect_value_or_damage = [](const auto& result) {
    if (result) return;
    EXPECT_EQ(result.error().kind, ErrorKind::kCorrupt) << result.error().message;
  };
  for (int round = 0; round < 200; ++round) {
    Manifest read;
    expect_value_or_damage(DecodeSummary(change(EncodeSummary(manifest, {{"a", "b"}})), "m"));
    expect_value_or_damage(DecodeSegments(change(EncodeSegments(manifest)), "m"));
    expect_value_or_damage(DecodeDetails(change(EncodeDetails(manifest)), "m", read));
    const Result<ObjectCounts> counts = DecodeObjects(change(EncodeObjects(manifest)), "m", read);
    expect_value_or_damage(counts);
    expect_value_or_damage(DecodeBlocks(change(EncodeBlocks(manifest)), "m"));
    if (!counts) continue;
    expect_value_or_damage(DecodeExtents(change(EncodeExtents(manifest)), "m", *counts, read));
    expect_value_or_damage(DecodeBlockLists(change(EncodeBlockLists(manifest)), "m", *counts, read));
  }
}

TEST(ManifestSections, AbsurdCountsAreDamage) {
  using namespace manifest_sections;  // NOLINT(google-build-using-namespace)
  const Manifest manifest = ValidManifest();
  for (const uint64_t count :
       {UINT64_MAX, uint64_t{1} << 62, UINT64_MAX / 37 + 1, uint64_t{2}, uint64_t{0}}) {
    std::string bytes = EncodeBlocks(manifest);
    std::memcpy(bytes.data(), &count, sizeof count);
    EXPECT_EQ(DecodeBlocks(bytes, "m").error().kind, ErrorKind::kCorrupt) << count;
  }
  Manifest read = ValidManifest();
  for (const uint64_t count : {UINT64_MAX, uint64_t{2}, uint64_t{0}}) {
    EXPECT_FALSE(DecodeExtents(EncodeExtents(manifest), "m", {{count, 1}, {}}, read)) << count;
    EXPECT_FALSE(DecodeBlockLists(EncodeBlockLists(manifest), "m", {{}, {count, 0}}, read)) << count;
  }
}

TEST(ManifestSections, DeeplyNestedJsonIsDamage) {
  using namespace manifest_sections;  // NOLINT(google-build-using-namespace)
  EXPECT_EQ(DecodeSegments(std::string(1 << 20, '['), "m").error().kind, ErrorKind::kCorrupt);
  EXPECT_EQ(DecodeSegments(std::string(100'000, '[') + std::string(100'000, ']'), "m").error().kind,
            ErrorKind::kCorrupt);
}

TEST(FileNames, OfVersionsAreReadBackAndNothingElseIs) {
  EXPECT_EQ(ManifestKey({"job", 7}), "snapshots/job/00000007.manifest");
  EXPECT_EQ(VersionOfFile("00000007.manifest", ".manifest"), 7U);
  EXPECT_EQ(VersionOfFile("99999999.manifest", ".manifest"), 99'999'999U);
  for (const char* name : {"7.manifest", "00000000.manifest", "000000007.manifest", "0000000x.manifest",
                           ".manifest", "00000007.manifest.aa.partial", "-0000007.manifest", "00000007"}) {
    EXPECT_FALSE(VersionOfFile(name, ".manifest")) << name;
  }
}

TEST(NearNames, AreThoseThatSomebodyMayHaveMeant) {
  const std::vector<std::string> known = {"train", "train-2", "eval", "serve"};
  EXPECT_EQ(NearNames("trian", known).at(0), "train");
  EXPECT_EQ(NearNames("tra", known).at(0), "train");
  EXPECT_EQ(NearNames("evla", known).at(0), "eval");
  EXPECT_TRUE(NearNames("something", known).empty());
  EXPECT_LE(NearNames("a", std::vector<std::string>(100, "b")).size(), 3U);
}

}  // namespace
}  // namespace holdfast
