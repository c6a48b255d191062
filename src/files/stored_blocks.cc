#include "files/stored_blocks.h"

namespace holdfast {

Result<void> StoreBlocks(PendingSnapshot& pending, TrackedFile& file, const BlockRange& range) {
  TRY(ReadFileBlocks(file.fd.get(), file.times.bytes, range,
                     [&](uint64_t number, std::span<const std::byte> bytes) -> Result<void> {
                       StoredBlock block;
                       block.bytes = FileBlockBytes(file.times.bytes, number);
                       if (!bytes.empty()) {
                         block.hash = HashBytes128(bytes);
                         block.index = TRY(pending.AppendBlock(bytes));
                       }
                       file.stored[number] = block;
                       return {};
                     }));
  return {};
}

ParentFiles::ParentFiles(const Manifest* parent, PendingSnapshot& pending)
    : parent_(parent), pending_(pending) {
  if (parent == nullptr) return;
  for (const FileState& file : parent->files) {
    if (file.ctime_ns != 0 && file.content_kept) by_path_.emplace(file.path, &file);
  }
}

Result<bool> ParentFiles::TakeOver(TrackedFile& file) const {
  const auto found = by_path_.find(file.found.path);
  if (found == by_path_.end() || !file.times_tell || file.found.mapped) return false;
  const FileState& known = *found->second;
  const FileTimes times{known.bytes, known.mtime_ns, known.ctime_ns};
  if (FileKey{known.device, known.inode} != file.found.key || times != file.times) return false;
  file.stored.resize(FileBlockCount(known.bytes));
  for (uint64_t number = 0; number < file.stored.size(); ++number) {
    StoredBlock& block = file.stored[number];
    block.bytes = FileBlockBytes(known.bytes, number);
    const uint32_t index = known.content.blocks[number];
    if (index == kZeroBlock) continue;
    block.hash = parent_->blocks[index].hash;
    block.index = TRY(pending_.ReuseBlock(parent_->blocks[index]));
  }
  return true;
}

}  // namespace holdfast
