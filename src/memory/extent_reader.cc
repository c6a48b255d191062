#include "memory/extent_reader.h"

#include "base/page.h"

namespace holdfast {

Result<std::span<const std::byte>> ExtentReader::Read(const Extent& extent) {
  if (extent.block == kZeroBlock) return Fail(ErrorKind::kInternal, "zeros have no block");
  if (extent.block != block_) {
    block_ = kZeroBlock;
    buffer_.resize(manifest_.blocks[extent.block].raw_bytes);
    TRY(blocks_.Read(extent.block, buffer_));
    block_ = extent.block;
  }
  const size_t bytes = extent.pages * kPageBytes;
  const size_t offset = extent.first_page * kPageBytes;
  if (offset + bytes > buffer_.size()) return Fail(ErrorKind::kCorrupt, "an extent reaches past its block");
  return std::span<const std::byte>(buffer_).subspan(offset, bytes);
}

}  // namespace holdfast
