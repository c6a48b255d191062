// What a manifest says must fit together: a restart believes it.
#include <fmt/format.h>

#include <limits>
#include <string_view>

#include "base/limits.h"
#include "base/page.h"
#include "store/manifest_codec.h"
#include "store/segment.h"

namespace holdfast {
namespace {

Result<void> CheckBlocks(const Manifest& manifest, ErrorKind kind) {
  if (manifest.blocks.size() >= kZeroBlock) return Fail(kind, "too many blocks");
  for (size_t i = 0; i < manifest.blocks.size(); ++i) {
    const BlockRef& block = manifest.blocks[i];
    const bool codec_fits =
        block.codec == Codec::kRaw ? block.stored_bytes == block.raw_bytes : block.codec == Codec::kZstd;
    if (block.segment >= manifest.segments.size() || !codec_fits || block.raw_bytes == 0 ||
        block.raw_bytes > limits::kBlockBytesMax || block.stored_bytes == 0 ||
        block.stored_bytes > limits::kBlockBytesMax || block.offset > limits::kSegmentBytesMax) {
      return Fail(kind, fmt::format("block {} makes no sense", i));
    }
  }
  return {};
}

Result<void> CheckExtents(const std::vector<Extent>& extents, const Manifest& manifest, ErrorKind kind,
                          const std::string& owner) {
  uint64_t end = 0;
  for (const Extent& extent : extents) {
    const uint64_t bytes = uint64_t{extent.pages} * kPageBytes;
    if (extent.pages == 0 || extent.address % kPageBytes != 0 || extent.address < end ||
        extent.address > std::numeric_limits<uint64_t>::max() - bytes) {
      return Fail(kind, fmt::format("extent {:#x} of {} is empty, not aligned or out of order",
                                    extent.address, owner));
    }
    end = extent.address + bytes;
    if (extent.block == kZeroBlock) continue;
    if (extent.block >= manifest.blocks.size() ||
        (uint64_t{extent.first_page} + extent.pages) * kPageBytes > manifest.blocks[extent.block].raw_bytes) {
      return Fail(kind, fmt::format("extent {:#x} of {} reaches beyond its block", extent.address, owner));
    }
  }
  return {};
}

Result<void> CheckBlob(const Blob& blob, const Manifest& manifest, ErrorKind kind, const std::string& owner) {
  // Compared without adding, because `bytes` may be anything.
  const uint64_t blocks =
      blob.bytes / limits::kBlockBytesMax + (blob.bytes % limits::kBlockBytesMax != 0 ? 1 : 0);
  if (blocks != blob.blocks.size()) {
    return Fail(kind, fmt::format("{} has {} bytes in {} blocks", owner, blob.bytes, blob.blocks.size()));
  }
  uint64_t left = blob.bytes;
  for (const uint32_t block : blob.blocks) {
    const uint64_t bytes = std::min<uint64_t>(left, limits::kBlockBytesMax);
    left -= bytes;
    if (block == kZeroBlock) continue;
    if (block >= manifest.blocks.size() || manifest.blocks[block].raw_bytes != bytes) {
      return Fail(kind, fmt::format("a block of {} is missing or of the wrong length", owner));
    }
  }
  return {};
}

// A path that leads to where it says, whoever follows it: no empty part, no "." and no "..".
bool IsPlainPath(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return false;
  for (;;) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}
bool IsPlainAbsolutePath(std::string_view path) {
  return path.starts_with('/') && IsPlainPath(path.substr(1));
}

Result<void> CheckTree(const FileTree& tree, ErrorKind kind) {
  if (!IsPlainAbsolutePath(tree.path)) return Fail(kind, fmt::format("'{}' is no tree", tree.path));
  for (size_t i = 0; i < tree.entries.size(); ++i) {
    const TreeEntry& entry = tree.entries[i];
    const bool in_order = i == 0 ? entry.path.empty() && entry.kind == TreeEntry::Kind::kDirectory
                                 : tree.entries[i - 1].path < entry.path;
    const bool leads_somewhere = entry.kind != TreeEntry::Kind::kLink || IsPlainAbsolutePath(entry.target);
    if (!in_order || !leads_somewhere || (i > 0 && !IsPlainPath(entry.path))) {
      return Fail(kind, fmt::format("'{}' in the tree {} makes no sense", entry.path, tree.path));
    }
  }
  return {};
}

}  // namespace

Result<void> CheckManifest(const Manifest& manifest, ErrorKind kind) {
  if (manifest.segments.size() > limits::kSegmentsPerSnapshotMax) return Fail(kind, "too many segments");
  if (manifest.processes.size() > limits::kProcessesMax) return Fail(kind, "too many processes");
  if (manifest.files.size() > limits::kFilesPerSnapshotMax ||
      manifest.images.size() > limits::kFilesPerSnapshotMax) {
    return Fail(kind, "too many files");
  }
  for (const std::string& segment : manifest.segments) {
    if (!IsSegmentId(segment)) return Fail(kind, fmt::format("'{}' is no segment", segment));
  }
  TRY(CheckBlocks(manifest, kind));
  for (const AddressSpace& space : manifest.address_spaces) {
    TRY(CheckExtents(space.extents, manifest, kind, fmt::format("process {}", space.pid)));
  }
  for (const SharedObject& object : manifest.shared_objects) {
    TRY(CheckExtents(object.extents, manifest, kind, fmt::format("shared object {}", object.id)));
  }
  for (const ImageFile& image : manifest.images) {
    TRY(CheckBlob(image.content, manifest, kind, fmt::format("image '{}'", image.name)));
  }
  for (const FileState& file : manifest.files) {
    TRY(CheckBlob(file.content, manifest, kind, fmt::format("file '{}'", file.path)));
  }
  if (manifest.trees.size() > limits::kTreesPerSnapshotMax) return Fail(kind, "too many trees");
  for (const FileTree& tree : manifest.trees) TRY(CheckTree(tree, kind));
  return {};
}

}  // namespace holdfast
