// Manifests as bytes. docs/store-format.md has the layout. Knows no files and no store.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/backend.h"
#include "store/manifest.h"

namespace holdfast {

using Annotations = std::map<std::string, std::string>;

// A manifest ready to be written. The version is set last: it is known only when the name is taken.
class EncodedManifest {
 public:
  // kInternal when the manifest contradicts itself (see CheckManifest).
  static Result<EncodedManifest> Make(const Manifest& manifest, const Annotations& annotations,
                                      int zstd_level);
  // `manifest` as it was read from `object`, but for its segments and where in them its blocks lie: only
  // these are written anew, everything else is taken over byte by byte, also what this version does not know.
  static Result<EncodedManifest> Moved(const Object& object, const std::string& where,
                                       const Manifest& manifest, int zstd_level);
  void SetVersion(uint64_t version);
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(bytes_)); }

 private:
  std::string bytes_;
};

// `where`: the manifest's name in messages. Everything that is wrong is kCorrupt. The id's version is the
// header's.
Result<Manifest> ReadManifest(const Object& object, const std::string& where);
// These two read only the sections that they need.
Result<SnapshotSummary> ReadManifestSummary(const Object& object, const std::string& where);
Result<std::vector<std::string>> ReadManifestSegments(const Object& object, const std::string& where);

// Whether the indexes, lengths and addresses of a manifest fit together; the message says what does not.
Result<void> CheckManifest(const Manifest& manifest, ErrorKind kind);

// The sections' contents. manifest_json.cc and manifest_columns.cc.
namespace manifest_sections {

std::string EncodeSummary(const Manifest& manifest, const Annotations& annotations);
std::string EncodeSegments(const Manifest& manifest);
std::string EncodeDetails(const Manifest& manifest);
std::string EncodeObjects(const Manifest& manifest);
std::string EncodeBlocks(const Manifest& manifest);
std::string EncodeExtents(const Manifest& manifest);
std::string EncodeBlockLists(const Manifest& manifest);

// What a summary says beyond SnapshotSummary.
struct Summary {
  SnapshotSummary shown;
  int32_t root_pid = 0;
};

// How many extents and blocks the objects own, in the order in which the columns hold them.
struct ObjectCounts {
  std::vector<uint64_t> extents;
  std::vector<uint64_t> blocks;
};

Result<Summary> DecodeSummary(std::string_view bytes, const std::string& where);
Result<std::vector<std::string>> DecodeSegments(std::string_view bytes, const std::string& where);
Result<void> DecodeDetails(std::string_view bytes, const std::string& where, Manifest& manifest);
// Leaves the extents and the blocks of the objects empty.
Result<ObjectCounts> DecodeObjects(std::string_view bytes, const std::string& where, Manifest& manifest);
Result<std::vector<BlockRef>> DecodeBlocks(std::string_view bytes, const std::string& where);
// Hands the extents, or the blocks, out to the objects of `manifest`.
Result<void> DecodeExtents(std::string_view bytes, const std::string& where, const ObjectCounts& counts,
                           Manifest& manifest);
Result<void> DecodeBlockLists(std::string_view bytes, const std::string& where, const ObjectCounts& counts,
                              Manifest& manifest);

}  // namespace manifest_sections

// The annotations file beside a manifest.
std::string EncodeAnnotations(const Annotations& annotations);
Result<Annotations> DecodeAnnotations(std::string_view bytes, const std::string& where);
// kUsage for too many or too long ones.
Result<void> CheckAnnotations(const Annotations& annotations);

}  // namespace holdfast
