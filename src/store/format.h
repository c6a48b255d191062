// The constants of docs/store-format.md and the byte order of everything in it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace holdfast {

// Integers on disk are little-endian; so is every machine that Holdfast runs on.
static_assert(std::endian::native == std::endian::little);

namespace format {

inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kSnapshotVersionMax = 99'999'999;  // eight digits
inline constexpr uint64_t kJsonSectionBytesMax = 256ull << 20;
inline constexpr uint32_t kAnnotationKeyBytesMax = 256;
inline constexpr uint32_t kPresentBytesMax = 1024;
inline constexpr uint32_t kLockRecordBytesMax = 64 * 1024;
inline constexpr int64_t kLockLeaseMs = 3600 * 1000;
inline constexpr int kGateSecondsMax = 600;  // wait for commits or a collection to end

inline constexpr char kSegmentMagic[8] = {'H', 'O', 'L', 'D', 'S', 'E', 'G', '\0'};
inline constexpr char kSegmentEndMagic[8] = {'H', 'O', 'L', 'D', 'E', 'N', 'D', '\0'};
inline constexpr uint32_t kSegmentHeaderBytes = 64;
inline constexpr uint32_t kSegmentEntryBytes = 40;
inline constexpr uint32_t kSegmentTrailerBytes = 56;
inline constexpr uint32_t kSegmentFrameBytes = kSegmentHeaderBytes + kSegmentTrailerBytes;

inline constexpr char kManifestMagic[8] = {'H', 'O', 'L', 'D', 'M', 'A', 'N', '\0'};
inline constexpr uint32_t kManifestHeaderBytes = 56;
inline constexpr uint32_t kManifestTableEntryBytes = 40;
inline constexpr uint32_t kManifestTrailerBytes = 16;
inline constexpr uint32_t kManifestSections = 7;

inline constexpr char kMovesMagic[8] = {'H', 'O', 'L', 'D', 'M', 'O', 'V', '\0'};
inline constexpr uint64_t kMovesBytesMax = 4ull << 30;
inline constexpr uint32_t kMoveBytes = 8 + 4 + 8 + 4 + 4 + 1 + 16 + 4;

inline constexpr std::string_view kFormatFile = "format";
inline constexpr std::string_view kMovesFile = "compaction";
inline constexpr std::string_view kFormatMagicLine = "holdfast store";
inline constexpr std::string_view kSegmentFolder = "segments/";
inline constexpr std::string_view kSnapshotFolder = "snapshots/";
inline constexpr std::string_view kSegmentSuffix = ".seg";
inline constexpr std::string_view kManifestSuffix = ".manifest";
inline constexpr std::string_view kAnnotationsSuffix = ".annotations";
inline constexpr std::string_view kRemovedSuffix = ".removed";
inline constexpr std::string_view kCommittedSuffix = ".committed";
inline constexpr std::string_view kPresentFile = "present";
inline constexpr std::string_view kPartialSuffix = ".partial";

}  // namespace format

inline std::span<const std::byte> AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Appends the bytes of an integer or of an array of bytes.
template <typename T>
void PutBytes(std::string& out, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// Takes values from the front of a buffer; never reads past its end.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  [[nodiscard]] bool Take(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return true;
  }
  size_t left() const { return rest_.size(); }

 private:
  std::string_view rest_;
};

}  // namespace holdfast
