// The frame of a manifest: header, table, sections, checksums.
#include "store/manifest_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.h"
#include "store/compress.h"
#include "store/format.h"
#include "store/hash.h"

namespace holdfast {
namespace {

using namespace manifest_sections;  // NOLINT(google-build-using-namespace): the other half of this file

enum class SectionId : uint32_t {
  kSummary = 1,
  kSegments = 2,
  kDetails = 3,
  kObjects = 4,
  kBlocks = 5,
  kExtents = 6,
  kBlockLists = 7,
};

constexpr uint64_t kTableBytes = format::kManifestSections * format::kManifestTableEntryBytes;
constexpr uint64_t kHeadBytes = format::kManifestHeaderBytes + kTableBytes;
constexpr size_t kHeaderHashOffset = format::kManifestHeaderBytes - sizeof(uint64_t);
constexpr size_t kVersionOffset = 24;

struct Section {
  Codec codec = Codec::kRaw;
  uint64_t offset = 0;
  uint64_t stored_bytes = 0;
  uint64_t raw_bytes = 0;
  uint64_t hash = 0;
};

struct Head {
  uint64_t version = 0;
  std::array<Section, format::kManifestSections> sections;

  const Section& Of(SectionId id) const { return sections.at(static_cast<size_t>(id) - 1); }
};

Error Damaged(const std::string& where, uint64_t offset, std::string_view what) {
  return Fail(ErrorKind::kCorrupt, fmt::format("{}: {} at offset {}", where, what, offset));
}

uint64_t SectionBytesMax(size_t index) {
  return index < static_cast<size_t>(SectionId::kBlocks) - 1 ? format::kJsonSectionBytesMax
                                                             : limits::kManifestSectionBytesMax;
}

void SealHashes(std::string& bytes) {
  const std::span<std::byte> all = std::as_writable_bytes(std::span(bytes));
  const uint64_t header_hash = HashBytes64(all.first(kHeaderHashOffset));
  std::memcpy(&bytes[kHeaderHashOffset], &header_hash, sizeof(header_hash));
  const size_t trailer = bytes.size() - format::kManifestTrailerBytes;
  const Hash128 file_hash = HashBytes128(all.first(trailer));
  std::memcpy(&bytes[trailer], file_hash.data(), file_hash.size());
}

// Header and table; `head` may hold more than these.
Result<Head> DecodeHead(std::string_view head_bytes, uint64_t file_bytes, const std::string& where) {
  if (file_bytes < kHeadBytes + format::kManifestTrailerBytes || head_bytes.size() < kHeadBytes) {
    return Damaged(where, file_bytes, "the file ends too early");
  }
  ByteReader reader(head_bytes);
  Head head;
  char magic[8];
  uint32_t format_version = 0;
  uint32_t sections = 0;
  uint64_t stated_bytes = 0;
  uint64_t table_hash = 0;
  uint64_t zero = 0;
  uint64_t header_hash = 0;
  if (!reader.Take(magic) || !reader.Take(format_version) || !reader.Take(sections) ||
      !reader.Take(stated_bytes) || !reader.Take(head.version) || !reader.Take(table_hash) ||
      !reader.Take(zero) || !reader.Take(header_hash)) {
    return Damaged(where, 0, "header cut short");
  }
  if (std::memcmp(magic, format::kManifestMagic, sizeof(magic)) != 0)
    return Damaged(where, 0, "not a manifest");
  if (format_version != format::kVersion) {
    return Fail(ErrorKind::kCorrupt, fmt::format("{} has format version {}; this Holdfast reads version {}",
                                                 where, format_version, format::kVersion));
  }
  if (header_hash != HashBytes64(AsBytes(head_bytes.substr(0, kHeaderHashOffset)))) {
    return Damaged(where, 0, "header checksum does not match");
  }
  if (stated_bytes != file_bytes || file_bytes > limits::kManifestBytesMax) {
    return Damaged(where, 16,
                   fmt::format("the file should have {} bytes and has {}", stated_bytes, file_bytes));
  }
  if (sections != format::kManifestSections || head.version == 0 ||
      head.version > format::kSnapshotVersionMax) {
    return Damaged(where, 12, "header makes no sense");
  }
  if (table_hash != HashBytes64(AsBytes(head_bytes.substr(format::kManifestHeaderBytes, kTableBytes)))) {
    return Damaged(where, format::kManifestHeaderBytes, "section table checksum does not match");
  }
  uint64_t offset = kHeadBytes;
  const uint64_t end = file_bytes - format::kManifestTrailerBytes;
  for (size_t i = 0; i < head.sections.size(); ++i) {
    Section& section = head.sections[i];
    uint32_t id = 0;
    uint32_t codec = 0;
    if (!reader.Take(id) || !reader.Take(codec) || !reader.Take(section.offset) ||
        !reader.Take(section.stored_bytes) || !reader.Take(section.raw_bytes) || !reader.Take(section.hash)) {
      return Damaged(where, format::kManifestHeaderBytes, "section table cut short");
    }
    section.codec = static_cast<Codec>(codec);
    const bool codec_known = codec <= static_cast<uint32_t>(Codec::kZstd);
    if (id != i + 1 || !codec_known || section.offset != offset || section.stored_bytes > end - offset ||
        section.raw_bytes > SectionBytesMax(i) ||
        (section.codec == Codec::kRaw && section.stored_bytes != section.raw_bytes)) {
      return Damaged(where, format::kManifestHeaderBytes + i * format::kManifestTableEntryBytes,
                     "section table makes no sense");
    }
    offset += section.stored_bytes;
  }
  if (offset != end) return Damaged(where, offset, "bytes that belong to no section");
  return head;
}

Result<void> CheckStored(std::string_view stored, const Section& section, const std::string& where) {
  if (HashBytes64(AsBytes(stored)) == section.hash) return {};
  return Damaged(where, section.offset, "section checksum does not match");
}

// `stored`: the bytes of the section in the file.
Result<std::string> DecodeSection(std::string_view stored, const Section& section, const std::string& where) {
  TRY(CheckStored(stored, section, where));
  if (section.codec == Codec::kRaw) return std::string(stored);
  if (FrameContentBytes(AsBytes(stored)) != section.raw_bytes) {
    return Damaged(where, section.offset, "section of another length than its table says");
  }
  std::string raw(section.raw_bytes, '\0');
  if (!Decompress(AsBytes(stored), std::as_writable_bytes(std::span(raw)))) {
    return Damaged(where, section.offset, "section does not decompress");
  }
  return raw;
}

Result<Head> ReadHead(const Object& object, const std::string& where) {
  std::string bytes(std::min<uint64_t>(object.bytes(), kHeadBytes), '\0');
  TRY(object.ReadAt(0, std::as_writable_bytes(std::span(bytes))));
  return DecodeHead(bytes, object.bytes(), where);
}

// A section as it lies in the file.
Result<std::string> ReadStored(const Object& object, const Section& section, const std::string& where) {
  std::string stored(section.stored_bytes, '\0');
  TRY(object.ReadAt(section.offset, std::as_writable_bytes(std::span(stored))));
  TRY(CheckStored(stored, section, where));
  return stored;
}

Result<std::string> ReadSection(const Object& object, const Section& section, const std::string& where) {
  return DecodeSection(TRY(ReadStored(object, section, where)), section, where);
}

struct StoredSection {
  Codec codec = Codec::kRaw;
  std::string bytes;
  uint64_t raw_bytes = 0;
};
using StoredSections = std::array<StoredSection, format::kManifestSections>;

Result<StoredSection> EncodeSection(size_t index, std::string raw, int zstd_level) {
  if (raw.size() > SectionBytesMax(index)) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("section {} of the manifest would have {} bytes, at most {} are allowed",
                            index + 1, raw.size(), SectionBytesMax(index)));
  }
  const uint64_t raw_bytes = raw.size();
  std::string compressed = TRY(CompressBuffer(AsBytes(raw), zstd_level));
  if (compressed.size() < raw.size()) return StoredSection{Codec::kZstd, std::move(compressed), raw_bytes};
  return StoredSection{Codec::kRaw, std::move(raw), raw_bytes};
}

// The whole file.
Result<std::string> Assemble(const StoredSections& sections, uint64_t version) {
  std::string table;
  std::string body;
  for (size_t i = 0; i < sections.size(); ++i) {
    const StoredSection& section = sections.at(i);
    PutBytes(table, static_cast<uint32_t>(i + 1));
    PutBytes(table, static_cast<uint32_t>(section.codec));
    PutBytes(table, kHeadBytes + body.size());
    PutBytes(table, static_cast<uint64_t>(section.bytes.size()));
    PutBytes(table, section.raw_bytes);
    PutBytes(table, HashBytes64(AsBytes(section.bytes)));
    body += section.bytes;
  }
  const uint64_t file_bytes = kHeadBytes + body.size() + format::kManifestTrailerBytes;
  if (file_bytes > limits::kManifestBytesMax) {
    return Fail(ErrorKind::kUnsupported,
                fmt::format("the manifest would have {} bytes, at most {} are allowed", file_bytes,
                            limits::kManifestBytesMax));
  }
  std::string out;
  out.reserve(file_bytes);
  PutBytes(out, format::kManifestMagic);
  PutBytes(out, format::kVersion);
  PutBytes(out, format::kManifestSections);
  PutBytes(out, file_bytes);
  PutBytes(out, version);
  PutBytes(out, HashBytes64(AsBytes(table)));
  out.append(2 * sizeof(uint64_t), '\0');  // reserved, and the header's checksum
  out += table;
  out += body;
  out.append(format::kManifestTrailerBytes, '\0');
  SealHashes(out);
  return out;
}

}  // namespace

Result<EncodedManifest> EncodedManifest::Make(const Manifest& manifest, const Annotations& annotations,
                                              int zstd_level) {
  TRY(CheckManifest(manifest, ErrorKind::kInternal));
  const std::array<std::string, format::kManifestSections> contents = {EncodeSummary(manifest, annotations),
                                                                       EncodeSegments(manifest),
                                                                       EncodeDetails(manifest),
                                                                       EncodeObjects(manifest),
                                                                       EncodeBlocks(manifest),
                                                                       EncodeExtents(manifest),
                                                                       EncodeBlockLists(manifest)};
  StoredSections sections;
  for (size_t i = 0; i < contents.size(); ++i) {
    sections.at(i) = TRY(EncodeSection(i, contents.at(i), zstd_level));
  }
  EncodedManifest encoded;
  encoded.bytes_ = TRY(Assemble(sections, manifest.id.version));
  return encoded;
}

Result<EncodedManifest> EncodedManifest::Moved(const Object& object, const std::string& where,
                                               const Manifest& manifest, int zstd_level) {
  TRY(CheckManifest(manifest, ErrorKind::kInternal));
  const Head head = TRY(ReadHead(object, where));
  StoredSections sections;
  for (size_t i = 0; i < sections.size(); ++i) {
    const Section& section = head.sections.at(i);
    const auto id = static_cast<SectionId>(i + 1);
    if (id == SectionId::kSegments) {
      sections.at(i) = TRY(EncodeSection(i, EncodeSegments(manifest), zstd_level));
    } else if (id == SectionId::kBlocks) {
      sections.at(i) = TRY(EncodeSection(i, EncodeBlocks(manifest), zstd_level));
    } else {
      sections.at(i) = {section.codec, TRY(ReadStored(object, section, where)), section.raw_bytes};
    }
  }
  EncodedManifest encoded;
  encoded.bytes_ = TRY(Assemble(sections, head.version));
  return encoded;
}

void EncodedManifest::SetVersion(uint64_t version) {
  std::memcpy(&bytes_[kVersionOffset], &version, sizeof(version));
  SealHashes(bytes_);
}

Result<Manifest> ReadManifest(const Object& object, const std::string& where) {
  const Head head = TRY(ReadHead(object, where));  // believes the length before it is allocated
  std::string file(object.bytes(), '\0');
  TRY(object.ReadAt(0, std::as_writable_bytes(std::span(file))));
  const std::string_view bytes = file;
  const size_t trailer = bytes.size() - format::kManifestTrailerBytes;
  const Hash128 hash = HashBytes128(AsBytes(bytes.substr(0, trailer)));
  if (std::memcmp(hash.data(), &bytes[trailer], hash.size()) != 0) {
    return Damaged(where, trailer, "checksum of the file does not match");
  }
  const auto content = [&](SectionId id) {
    const Section& section = head.Of(id);
    return DecodeSection(bytes.substr(section.offset, section.stored_bytes), section, where);
  };
  Manifest manifest;
  const Summary summary = TRY(DecodeSummary(TRY(content(SectionId::kSummary)), where));
  manifest.id = {summary.shown.id.lineage, head.version};
  manifest.parent = summary.shown.parent;
  manifest.kind = summary.shown.kind;
  manifest.created_ms = summary.shown.created_ms;
  manifest.figures = summary.shown.figures;
  manifest.root_pid = summary.root_pid;
  manifest.segments = TRY(DecodeSegments(TRY(content(SectionId::kSegments)), where));
  TRY(DecodeDetails(TRY(content(SectionId::kDetails)), where, manifest));
  const ObjectCounts counts = TRY(DecodeObjects(TRY(content(SectionId::kObjects)), where, manifest));
  manifest.blocks = TRY(DecodeBlocks(TRY(content(SectionId::kBlocks)), where));
  TRY(DecodeExtents(TRY(content(SectionId::kExtents)), where, counts, manifest));
  TRY(DecodeBlockLists(TRY(content(SectionId::kBlockLists)), where, counts, manifest));
  Result<void> checked = CheckManifest(manifest, ErrorKind::kCorrupt);
  if (!checked) return std::move(checked).error().Within(where);
  return manifest;
}

Result<SnapshotSummary> ReadManifestSummary(const Object& object, const std::string& where) {
  const Head head = TRY(ReadHead(object, where));
  const std::string bytes = TRY(ReadSection(object, head.Of(SectionId::kSummary), where));
  Summary summary = TRY(DecodeSummary(bytes, where));
  summary.shown.id.version = head.version;
  return summary.shown;
}

Result<std::vector<std::string>> ReadManifestSegments(const Object& object, const std::string& where) {
  const Head head = TRY(ReadHead(object, where));
  return DecodeSegments(TRY(ReadSection(object, head.Of(SectionId::kSegments), where)), where);
}

}  // namespace holdfast
