// Damage is found by reading and by verification, and named; undamaged parts stay usable.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "store/format.h"
#include "store/hash.h"
#include "store/store.h"
#include "store_test_support.h"

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class StoreDamage : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Store> opened = Store::Open(directory_.path() / "store");
    ASSERT_OK(opened);
    store_ = std::make_unique<Store>(*std::move(opened));
    ASSERT_OK(CommitSample(*store_, "job", 2));
    segment_ = OnlyFile(store_->directory() / "segments", ".seg");
    manifest_ = OnlyFile(store_->directory() / "snapshots/job", ".manifest");
  }

  std::vector<std::string> Problems(bool read_data) const {
    const Result<VerifyReport> report = store_->Verify(read_data);
    if (!report) return {"no report: " + report.error().message};
    return report->problems;
  }
  // What a restart would do; kNotFound when all is well.
  ErrorKind Restart() const {
    const Result<Manifest> manifest = store_->Load({"job", 1});
    if (!manifest) return manifest.error().kind;
    const Result<std::unique_ptr<BlockReader>> blocks = store_->OpenBlocks(*manifest);
    if (!blocks) return blocks.error().kind;
    for (uint32_t i = 0; i < manifest->blocks.size(); ++i) {
      std::vector<std::byte> raw(manifest->blocks[i].raw_bytes);
      const Result<void> read = (*blocks)->Read(i, raw);
      if (!read) return read.error().kind;
    }
    return ErrorKind::kNotFound;
  }
  // The segment with the byte at `offset` changed, or the value at it replaced.
  void FlipSegment(size_t offset) const {
    std::string bytes = segment_bytes_;
    bytes.at(offset) = static_cast<char>(bytes.at(offset) ^ 0x10);
    WriteWholeFile(segment_, bytes);
  }
  // The segment with a changed trailer whose checksum is right.
  void WriteTrailer(size_t offset_in_trailer, uint64_t value) const {
    std::string bytes = segment_bytes_;
    const size_t trailer = bytes.size() - format::kSegmentTrailerBytes;
    std::memcpy(&bytes[trailer + offset_in_trailer], &value, sizeof value);
    const uint64_t hash = HashBytes64(AsBytes(std::string_view(bytes).substr(trailer, 48)));
    std::memcpy(&bytes[trailer + 48], &hash, sizeof hash);
    WriteWholeFile(segment_, bytes);
  }
  // A manifest with `change` applied, whose checksums are right again.
  template <typename Change>
  void RewriteManifest(const Change& change) const {
    std::string bytes = manifest_bytes_;
    change(bytes);
    const auto hash64 = [&](size_t from, size_t count) {
      return HashBytes64(AsBytes(std::string_view(bytes).substr(from, count)));
    };
    const uint64_t table = hash64(format::kManifestHeaderBytes, size_t{format::kManifestSections} * 40);
    std::memcpy(&bytes[32], &table, sizeof table);
    const uint64_t header = hash64(0, 48);
    std::memcpy(&bytes[48], &header, sizeof header);
    const Hash128 file = HashBytes128(AsBytes(std::string_view(bytes).substr(0, bytes.size() - 16)));
    std::memcpy(&bytes[bytes.size() - 16], file.data(), file.size());
    WriteWholeFile(manifest_, bytes);
  }
  void ReadFiles() {
    segment_bytes_ = ReadWholeFile(segment_);
    manifest_bytes_ = ReadWholeFile(manifest_);
  }
  uint64_t IndexOffset() const {
    uint64_t offset = 0;
    std::memcpy(&offset, &segment_bytes_[segment_bytes_.size() - format::kSegmentTrailerBytes + 24],
                sizeof offset);
    return offset;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Store> store_;
  std::filesystem::path segment_;
  std::filesystem::path manifest_;
  std::string segment_bytes_;
  std::string manifest_bytes_;
};

TEST_F(StoreDamage, NoneIsReportedWhereThereIsNone) {
  EXPECT_THAT(Problems(false), IsEmpty());
  EXPECT_THAT(Problems(true), IsEmpty());
  EXPECT_EQ(Restart(), ErrorKind::kNotFound);
  const VerifyReport report = store_->Verify(true).value();
  EXPECT_EQ(report.snapshots_checked, 1U);
  EXPECT_EQ(report.blocks_checked, store_->Load({"job", 1})->blocks.size());
  EXPECT_GT(report.bytes_read, 0U);
}

TEST_F(StoreDamage, AChangedByteInAnyPartOfASegmentIsFound) {
  ReadFiles();
  const size_t trailer = segment_bytes_.size() - format::kSegmentTrailerBytes;
  // Magic, version, length, id, time, zeros, checksum of the header; index; each field of the trailer.
  for (const size_t offset :
       {size_t{0}, size_t{8}, size_t{12}, size_t{16}, size_t{32}, size_t{45}, size_t{60},
        static_cast<size_t>(IndexOffset()), static_cast<size_t>(IndexOffset()) + 24, trailer, trailer + 8,
        trailer + 12, trailer + 16, trailer + 24, trailer + 32, trailer + 40, trailer + 55}) {
    FlipSegment(offset);
    const std::vector<std::string> problems = Problems(false);
    ASSERT_EQ(problems.size(), 1U) << offset;
    EXPECT_THAT(problems[0], HasSubstr(segment_.filename().string()));
    EXPECT_THAT(problems[0], HasSubstr("job@1"));
  }
}

TEST_F(StoreDamage, AChangedByteOfABlockIsFoundByReading) {
  ReadFiles();
  for (size_t offset = format::kSegmentHeaderBytes; offset < IndexOffset(); offset += IndexOffset() / 7) {
    FlipSegment(offset);
    EXPECT_THAT(Problems(false), IsEmpty()) << "structure alone does not show it";
    const std::vector<std::string> problems = Problems(true);
    ASSERT_EQ(problems.size(), 1U) << offset;
    EXPECT_THAT(problems[0], HasSubstr("job@1"));
    EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
  }
}

TEST_F(StoreDamage, ASegmentCutShortAnywhereIsFound) {
  ReadFiles();
  for (const size_t bytes :
       {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{119}, size_t{120}, segment_bytes_.size() / 2,
        static_cast<size_t>(IndexOffset()), segment_bytes_.size() - 56, segment_bytes_.size() - 1}) {
    WriteWholeFile(segment_, segment_bytes_.substr(0, bytes));
    EXPECT_EQ(Problems(false).size(), 1U) << bytes;
    EXPECT_EQ(Restart(), ErrorKind::kCorrupt) << bytes;
  }
  WriteWholeFile(segment_, segment_bytes_ + "more");
  EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
}

TEST_F(StoreDamage, AMissingOrMistakenSegmentIsFound) {
  ASSERT_OK(CommitSample(*store_, "other", 4));
  ReadFiles();
  const std::string other = store_->Load({"other", 1})->segments.at(0) + ".seg";
  WriteWholeFile(segment_,
                 ReadWholeFile(segment_.parent_path() / other));  // a whole segment, under a wrong name
  EXPECT_THAT(Problems(false), ElementsAre(HasSubstr("job@1")));
  EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
  std::filesystem::remove(segment_);
  EXPECT_THAT(Problems(true), ElementsAre(HasSubstr("job@1")));
  EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
  CheckSample(*store_, store_->Load({"other", 1}).value(), 4);
}

TEST_F(StoreDamage, AbsurdNumbersInATrailerAreRefused) {
  ReadFiles();
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{1} << 32, uint64_t{1} << 62, UINT64_MAX, UINT64_MAX / 40 + 1}) {
    for (const size_t field :
         {size_t{16}, size_t{24}, size_t{32}}) {  // entries, where they begin, file length
      WriteTrailer(field, value);
      EXPECT_EQ(Restart(), ErrorKind::kCorrupt) << field << " = " << value;
    }
  }
}

TEST_F(StoreDamage, EveryByteOfAManifestCounts) {
  ReadFiles();
  for (size_t offset = 0; offset < manifest_bytes_.size(); offset += 1 + offset / 400) {
    std::string bytes = manifest_bytes_;
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    WriteWholeFile(manifest_, bytes);
    EXPECT_EQ(Restart(), ErrorKind::kCorrupt) << offset;
  }
  EXPECT_THAT(Problems(false), ElementsAre(HasSubstr("job@1")));
}

TEST_F(StoreDamage, AManifestCutShortAnywhereIsRefused) {
  ReadFiles();
  for (size_t bytes = 0; bytes < manifest_bytes_.size(); bytes += 1 + bytes / 10) {
    WriteWholeFile(manifest_, manifest_bytes_.substr(0, bytes));
    EXPECT_EQ(Restart(), ErrorKind::kCorrupt) << bytes;
    EXPECT_NE(store_->Snapshots("job")->at(0).damage, "") << bytes;
  }
  WriteWholeFile(manifest_, manifest_bytes_ + "more");
  EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
}

// With right checksums, as somebody malicious would write them: nothing is allocated for what cannot be.
TEST_F(StoreDamage, AbsurdLengthsInASectionTableAreRefused) {
  ReadFiles();
  for (uint32_t section = 0; section < format::kManifestSections; ++section) {
    for (const size_t field : {size_t{8}, size_t{16}, size_t{24}}) {  // offset, stored, raw
      for (const uint64_t value : {UINT64_MAX, uint64_t{1} << 62, uint64_t{1} << 40, uint64_t{1} << 31}) {
        RewriteManifest([&](std::string& bytes) {
          std::memcpy(&bytes[format::kManifestHeaderBytes + size_t{section} * 40 + field], &value,
                      sizeof value);
        });
        EXPECT_EQ(Restart(), ErrorKind::kCorrupt) << section << " " << field << " = " << value;
        EXPECT_NE(store_->Snapshots("job")->at(0).damage, "");
      }
    }
  }
}

TEST_F(StoreDamage, AnotherFormatVersionIsRefusedAndSaysSo) {
  ReadFiles();
  RewriteManifest([](std::string& bytes) { bytes[8] = 2; });
  const Result<Manifest> manifest = store_->Load({"job", 1});
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(manifest.error().message, HasSubstr("version 2"));
  WriteWholeFile(manifest_, manifest_bytes_);
  std::string bytes = segment_bytes_;
  bytes[8] = 3;
  WriteWholeFile(segment_, bytes);
  EXPECT_THAT(Problems(false), ElementsAre(HasSubstr("version 3")));
}

TEST_F(StoreDamage, AManifestUnderAnotherNameIsFound) {
  ReadFiles();
  WriteWholeFile(manifest_.parent_path() / "00000009.manifest", manifest_bytes_);
  EXPECT_EQ(store_->Load({"job", 9}).error().kind, ErrorKind::kCorrupt);
  EXPECT_THAT(Problems(false), ElementsAre(HasSubstr("job@1")));
  EXPECT_EQ(Restart(), ErrorKind::kNotFound) << "the right one is as good as before";
}

TEST_F(StoreDamage, DamagedAnnotationsAreOnlyLostNotes) {
  ASSERT_OK(store_->Annotate({"job", 1}, {{"a", "b"}}));
  const std::filesystem::path notes = OnlyFile(store_->directory() / "snapshots/job", ".annotations");
  for (const char* text : {"", "{", "[]", "{\"a\":1}", "\xff"}) {
    WriteWholeFile(notes, text);
    EXPECT_EQ(Problems(false).size(), 1U) << text;
    EXPECT_NE(store_->Snapshots("job")->at(0).damage, "") << text;
    EXPECT_EQ(Restart(), ErrorKind::kNotFound) << text;
  }
}

TEST_F(StoreDamage, OneDamagedSnapshotDoesNotHideTheOthers) {
  ASSERT_OK(CommitSample(*store_, "job", 6));
  WriteWholeFile(manifest_, "no manifest");
  const std::vector<SnapshotSummary> list = store_->Snapshots("job").value();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_THAT(list[0].damage, Not(IsEmpty()));
  EXPECT_EQ(list[1].damage, "");
  CheckSample(*store_, store_->Load({"job", 0}).value(), 6);
}

TEST_F(StoreDamage, LinksInPlaceOfFilesAreNotFollowed) {
  const std::filesystem::path moved = directory_.path() / "moved";
  std::filesystem::rename(segment_, moved);
  std::filesystem::create_symlink(moved, segment_);
  EXPECT_EQ(Restart(), ErrorKind::kCorrupt);
  EXPECT_THAT(Problems(false), ElementsAre(HasSubstr("symbolic link")));
}

// Any few bytes anywhere.
TEST_F(StoreDamage, NothingWorseThanAnErrorComesOfChangedBytes) {
  const uint64_t seed = TestSeed();
  SCOPED_TRACE("HOLDFAST_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  ReadFiles();
  for (int round = 0; round < 60; ++round) {
    for (const auto& [path, good] :
         {std::pair(segment_, segment_bytes_), std::pair(manifest_, manifest_bytes_)}) {
      std::string bytes = good;
      for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      if (random() % 4 == 0) bytes.resize(random() % bytes.size());
      WriteWholeFile(path, bytes);
      EXPECT_EQ(Problems(true).empty(), bytes == good);
      WriteWholeFile(path, good);
    }
  }
  EXPECT_EQ(Restart(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace holdfast
