// The job runs again: what was kept, reflinked or only grew is stored.
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/parallel.h"
#include "base/units.h"
#include "files/capture.h"
#include "files/file_times.h"

namespace holdfast {

Result<std::vector<FileState>> Capture::Finish() {
  FinishTrees();
  TRY(StoreKept());
  TRY(StoreLater());
  std::vector<FileState> states;
  for (FrozenFile& file : frozen_) {
    file.state.content_kept = file.state.content_kept && file.tracked->unreadable.empty();
    // Whatever is done to it from the freeze on changes its times.
    const bool times_tell =
        file.tracked->times_tell && !file.mapped && file.state.ctime_ns < frozen_ns_ - kTickNs;
    if (!times_tell) file.state.ctime_ns = 0;
    if (file.state.content_kept) {
      file.state.content.bytes = file.state.bytes;
      for (const FrozenBlock& block : file.blocks) file.state.content.blocks.push_back(block.index);
    } else {
      WarnOfContentNotKept(file);
    }
    states.push_back(std::move(file.state));
  }
  frozen_.clear();
  tracked_.clear();
  std::sort(states.begin(), states.end(),
            [](const FileState& a, const FileState& b) { return a.path < b.path; });
  return states;
}

Result<void> Capture::StoreKept() {
  std::vector<std::pair<FrozenBlock*, uint32_t>> blocks;
  for (FrozenFile& file : frozen_) {
    for (uint64_t number = 0; number < file.blocks.size(); ++number) {
      if (file.blocks[number].kept == nullptr) continue;
      blocks.emplace_back(&file.blocks[number], FileBlockBytes(file.state.bytes, number));
    }
  }
  TRY(ParallelFor(blocks.size(), [&](size_t i) -> Result<void> {
    auto [block, bytes] = blocks[i];
    block->index = TRY(pending_.AppendBlock({std::exchange(block->kept, nullptr), bytes}));
    return {};
  }));
  kept_.Clear();
  return {};
}

Result<void> Capture::StoreLater() {
  std::vector<BlockRange> ranges;
  for (size_t i = 0; i < frozen_.size(); ++i) {
    if (frozen_[i].read_later >= 0) AppendBlockRanges(i, frozen_[i].state.bytes, ranges);
  }
  std::set<std::string> overwritten;
  std::mutex mutex;
  TRY(ParallelFor(ranges.size(), [&](size_t i) { return StoreLaterRange(ranges[i], overwritten, mutex); }));
  for (const FrozenFile& file : frozen_) {
    struct stat status {};
    if (file.read_later < 0) continue;
    if (::fstat(file.read_later, &status) != 0) return FailErrno("cannot look at " + file.state.path);
    if (static_cast<uint64_t>(status.st_size) < file.state.bytes) {
      // Before the size was looked at, so what was read may be holes. Another try may be luckier.
      return Fail(ErrorKind::kBusy, file.state.path + " was truncated while it was being stored");
    }
  }
  for (const std::string& path : overwritten) {
    warnings_.push_back(path +
                        " was rewritten in place although the job has it open for appending only; its "
                        "content may be of shortly after the snapshot");
  }
  return {};
}

Result<void> Capture::StoreLaterRange(const BlockRange& range, std::set<std::string>& overwritten,
                                      std::mutex& mutex) {
  FrozenFile& file = frozen_[range.file];
  const std::vector<StoredBlock>& stored = file.tracked->stored;
  const ReadEnd end = TRY(ReadFileBlocks(
      file.read_later, file.state.bytes, range,
      [&](uint64_t number, std::span<const std::byte> bytes) -> Result<void> {
        FrozenBlock& block = file.blocks[number];
        if (file.tracked->IsStored(number, file.state.bytes, bytes)) {
          block.index = stored[number].index;
          return {};
        }
        if (file.state.append_only && number < stored.size() && stored[number].bytes == kFileBlockBytes) {
          const std::lock_guard lock(mutex);
          overwritten.insert(file.state.path);
        }
        if (!bytes.empty()) block.index = TRY(pending_.AppendBlock(bytes));
        return {};
      }));
  if (end == ReadEnd::kUnreadable) NoteUnreadable(file);
  return {};
}

void Capture::WarnOfContentNotKept(const FrozenFile& file) {
  if (!file.tracked->unreadable.empty()) {
    warnings_.push_back(
        fmt::format("the content of {} is not kept: {}", file.state.path, file.tracked->unreadable));
  } else {
    warnings_.push_back(fmt::format("the content of {} is not kept: it has {}, more than {}", file.state.path,
                                    FormatBytes(file.state.bytes), FormatBytes(options_.file_bytes_max)));
  }
}

}  // namespace holdfast
