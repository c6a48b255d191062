#include "store/compress.h"

#include <fmt/format.h>
#include <zstd.h>

#include <cstring>
#include <memory>
#include <vector>

#include "base/limits.h"

namespace holdfast {
namespace {

struct ContextFree {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* ThreadCompressor() {
  thread_local const std::unique_ptr<ZSTD_CCtx, ContextFree> context(ZSTD_createCCtx());
  return context.get();
}

ZSTD_DCtx* ThreadDecompressor() {
  thread_local const std::unique_ptr<ZSTD_DCtx, ContextFree> context(ZSTD_createDCtx());
  return context.get();
}

}  // namespace

bool AllZero(std::span<const std::byte> bytes) {
  // The buffer equals itself shifted by one word, and its first word is zero.
  constexpr size_t kWord = 16;
  for (size_t i = 0; i < bytes.size() && i < kWord; ++i) {
    if (bytes[i] != std::byte{0}) return false;
  }
  return bytes.size() <= kWord || std::memcmp(bytes.data(), bytes.data() + kWord, bytes.size() - kWord) == 0;
}

std::optional<std::span<const std::byte>> CompressBlock(std::span<const std::byte> raw, int level) {
  thread_local std::vector<std::byte> buffer(ZSTD_compressBound(limits::kBlockBytesMax));
  // Less than 1/32 gained is not worth decompressing at a restart.
  const size_t stored_max = raw.size() - raw.size() / 32;
  const size_t stored =
      ZSTD_compressCCtx(ThreadCompressor(), buffer.data(), buffer.size(), raw.data(), raw.size(), level);
  if (ZSTD_isError(stored) != 0 || stored >= stored_max) return std::nullopt;
  return std::span<const std::byte>(buffer).first(stored);
}

bool Decompress(std::span<const std::byte> stored, std::span<std::byte> out) {
  if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) return false;
  return ZSTD_decompressDCtx(ThreadDecompressor(), out.data(), out.size(), stored.data(), stored.size()) ==
         out.size();
}

Result<std::string> CompressBuffer(std::span<const std::byte> raw, int level) {
  std::string out(ZSTD_compressBound(raw.size()), '\0');
  const size_t stored =
      ZSTD_compressCCtx(ThreadCompressor(), out.data(), out.size(), raw.data(), raw.size(), level);
  if (ZSTD_isError(stored) != 0) {
    return Fail(ErrorKind::kInternal,
                fmt::format("compress {} bytes: {}", raw.size(), ZSTD_getErrorName(stored)));
  }
  out.resize(stored);
  return out;
}

std::optional<uint64_t> FrameContentBytes(std::span<const std::byte> stored) {
  const unsigned long long bytes = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes == ZSTD_CONTENTSIZE_ERROR) return std::nullopt;
  return bytes;
}

}  // namespace holdfast
