// The packed sections of a manifest: a count, then one column after the other.
#include <fmt/format.h>

#include <cstring>
#include <type_traits>

#include "store/format.h"
#include "store/manifest_codec.h"

namespace holdfast::manifest_sections {
namespace {

constexpr uint64_t kBlockRowBytes = 4 + 8 + 4 + 4 + 1 + 16;
constexpr uint64_t kExtentRowBytes = 8 + 4 + 4 + 2 + 1;
constexpr uint64_t kListRowBytes = 4;
constexpr uint8_t kHugeFlag = 1;

Error Wrong(const std::string& where, std::string_view what) {
  return Fail(ErrorKind::kCorrupt, fmt::format("{}: {}", where, what));
}

// The number of rows, once it is known to fit the section exactly.
Result<uint64_t> RowCount(std::string_view bytes, uint64_t row_bytes, const std::string& where,
                          std::string_view section) {
  uint64_t count = 0;
  ByteReader reader(bytes);
  if (!reader.Take(count) || reader.left() % row_bytes != 0 || count != reader.left() / row_bytes) {
    return Wrong(where, fmt::format("the {} section's count does not fit its length", section));
  }
  return count;
}

// Reads one column after the other; the caller has checked the length.
class Columns {
 public:
  Columns(std::string_view bytes, uint64_t count) : next_(bytes.data() + sizeof(uint64_t)), count_(count) {}

  template <typename T, typename Put>
  void Read(const Put& put) {
    static_assert(std::is_trivially_copyable_v<T>);
    for (uint64_t i = 0; i < count_; ++i, next_ += sizeof(T)) {
      T value{};
      std::memcpy(&value, next_, sizeof(T));
      put(i, value);
    }
  }

 private:
  const char* next_;
  uint64_t count_;
};

// All extents of a manifest, those of the address spaces first.
template <typename ManifestType, typename Visit>
void ForEachExtentList(ManifestType& manifest, const Visit& visit) {
  for (auto& space : manifest.address_spaces) visit(space.extents);
  for (auto& object : manifest.shared_objects) visit(object.extents);
}

template <typename ManifestType, typename Visit>
void ForEachBlob(ManifestType& manifest, const Visit& visit) {
  for (auto& image : manifest.images) visit(image.content);
  for (auto& file : manifest.files) visit(file.content);
}

// Do the objects' counts add up to the number of rows? Guards against overflow as well.
Result<void> CheckCounts(const std::vector<uint64_t>& counts, uint64_t rows, const std::string& where,
                         std::string_view what) {
  uint64_t left = rows;
  for (const uint64_t count : counts) {
    if (count > left) return Wrong(where, fmt::format("the objects name more {} than there are", what));
    left -= count;
  }
  if (left != 0) return Wrong(where, fmt::format("{} {} belong to nothing", left, what));
  return {};
}

}  // namespace

std::string EncodeBlocks(const Manifest& manifest) {
  std::string out;
  out.reserve(sizeof(uint64_t) + manifest.blocks.size() * kBlockRowBytes);
  PutBytes(out, static_cast<uint64_t>(manifest.blocks.size()));
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.segment);
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.offset);
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.stored_bytes);
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.raw_bytes);
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.codec);
  for (const BlockRef& block : manifest.blocks) PutBytes(out, block.hash);
  return out;
}

Result<std::vector<BlockRef>> DecodeBlocks(std::string_view bytes, const std::string& where) {
  const uint64_t count = TRY(RowCount(bytes, kBlockRowBytes, where, "block"));
  std::vector<BlockRef> blocks(count);
  Columns columns(bytes, count);
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { blocks[i].segment = value; });
  columns.Read<uint64_t>([&](uint64_t i, uint64_t value) { blocks[i].offset = value; });
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { blocks[i].stored_bytes = value; });
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { blocks[i].raw_bytes = value; });
  columns.Read<uint8_t>([&](uint64_t i, uint8_t value) { blocks[i].codec = static_cast<Codec>(value); });
  columns.Read<std::array<uint8_t, 16>>(
      [&](uint64_t i, const std::array<uint8_t, 16>& value) { blocks[i].hash = value; });
  return blocks;
}

std::string EncodeExtents(const Manifest& manifest) {
  uint64_t count = 0;
  ForEachExtentList(manifest, [&](const std::vector<Extent>& extents) { count += extents.size(); });
  std::string out;
  out.reserve(sizeof(uint64_t) + count * kExtentRowBytes);
  PutBytes(out, count);
  const auto put_column = [&](const auto& value_of) {
    ForEachExtentList(manifest, [&](const std::vector<Extent>& extents) {
      for (const Extent& extent : extents) PutBytes(out, value_of(extent));
    });
  };
  put_column([](const Extent& extent) { return extent.address; });
  put_column([](const Extent& extent) { return extent.pages; });
  put_column([](const Extent& extent) { return extent.block; });
  put_column([](const Extent& extent) { return extent.first_page; });
  put_column([](const Extent& extent) { return extent.huge ? kHugeFlag : uint8_t{0}; });
  return out;
}

Result<void> DecodeExtents(std::string_view bytes, const std::string& where, const ObjectCounts& counts,
                           Manifest& manifest) {
  const uint64_t count = TRY(RowCount(bytes, kExtentRowBytes, where, "extent"));
  TRY(CheckCounts(counts.extents, count, where, "extents"));
  std::vector<Extent> all(count);
  bool flags_known = true;
  Columns columns(bytes, count);
  columns.Read<uint64_t>([&](uint64_t i, uint64_t value) { all[i].address = value; });
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { all[i].pages = value; });
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { all[i].block = value; });
  columns.Read<uint16_t>([&](uint64_t i, uint16_t value) { all[i].first_page = value; });
  columns.Read<uint8_t>([&](uint64_t i, uint8_t value) {
    all[i].huge = value == kHugeFlag;
    flags_known = flags_known && value <= kHugeFlag;
  });
  if (!flags_known) return Wrong(where, "an extent has unknown flags");
  auto next = all.cbegin();
  size_t owner = 0;
  ForEachExtentList(manifest, [&](std::vector<Extent>& extents) {
    const auto end = next + static_cast<std::ptrdiff_t>(counts.extents.at(owner++));
    extents.assign(next, end);
    next = end;
  });
  return {};
}

std::string EncodeBlockLists(const Manifest& manifest) {
  uint64_t count = 0;
  ForEachBlob(manifest, [&](const Blob& blob) { count += blob.blocks.size(); });
  std::string out;
  out.reserve(sizeof(uint64_t) + count * kListRowBytes);
  PutBytes(out, count);
  ForEachBlob(manifest, [&](const Blob& blob) {
    for (const uint32_t block : blob.blocks) PutBytes(out, block);
  });
  return out;
}

Result<void> DecodeBlockLists(std::string_view bytes, const std::string& where, const ObjectCounts& counts,
                              Manifest& manifest) {
  const uint64_t count = TRY(RowCount(bytes, kListRowBytes, where, "block list"));
  TRY(CheckCounts(counts.blocks, count, where, "blocks of images and files"));
  std::vector<uint32_t> all(count);
  Columns columns(bytes, count);
  columns.Read<uint32_t>([&](uint64_t i, uint32_t value) { all[i] = value; });
  auto next = all.cbegin();
  size_t owner = 0;
  ForEachBlob(manifest, [&](Blob& blob) {
    const auto end = next + static_cast<std::ptrdiff_t>(counts.blocks.at(owner++));
    blob.blocks.assign(next, end);
    next = end;
  });
  return {};
}

}  // namespace holdfast::manifest_sections
