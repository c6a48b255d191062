#include "store/live_blocks.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <numeric>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/page.h"
#include "store/format.h"
#include "store/names.h"

namespace holdfast {
namespace {

Error Unreadable(Error error, const SnapshotId& id) {
  return std::move(error)
      .Within("nothing is compacted")
      .WithHint(fmt::format("what {} needs is not known; restore its manifest or remove it with holdfast rm",
                            id.ToString()));
}

class Survey {
 public:
  Survey(const StoreCore& core, const Progress* progress) : core_(core), progress_(progress) {}

  Result<LiveBlocks> Take(const std::vector<std::string>& lineages) {
    // Sizes before manifests: a segment that comes later is not looked at.
    for (const ObjectInfo& object : TRY(core_.backend->List(std::string(format::kSegmentFolder)))) {
      if (const auto id = SegmentIdOfFile(object.name)) bytes_of_[*id] = object.bytes;
    }
    for (const std::string& lineage : lineages) {
      for (const uint64_t version : TRY(core_.Versions(lineage))) {
        if (progress_ != nullptr && progress_->Cancelled()) {
          return Fail(ErrorKind::kInterrupted, "stopped before anything was compacted");
        }
        TRY(AddSnapshot({lineage, version}));
      }
    }
    FindKeepers();
    for (LiveSegment& segment : live_.segments) live_.names.push_back(segment.id);
    return std::move(live_);
  }

 private:
  Result<void> AddSnapshot(const SnapshotId& id) {
    const std::string key = ManifestKey(id);
    const std::unique_ptr<Object> file = TRY(IfThere(core_.backend->Open(key)));
    if (file == nullptr) return {};  // removed meanwhile
    live_.manifest_bytes_max = std::max(live_.manifest_bytes_max, file->bytes());
    const Result<Manifest> manifest = ReadManifest(*file, key);
    if (!manifest) return Unreadable(manifest.error(), id);
    std::vector<std::optional<uint32_t>> numbers;
    for (const std::string& segment : manifest->segments) numbers.push_back(TRY(NumberOf(segment)));
    const std::vector<PageMask> named = PagesNamed(*manifest);
    for (size_t i = 0; i < manifest->blocks.size(); ++i) {
      const BlockRef& block = manifest->blocks[i];
      if (!numbers[block.segment]) continue;
      LiveBlock* const found = Find(live_.segments[*numbers[block.segment]], EntryOf(block));
      if (found == nullptr) {
        return Unreadable(
            Fail(ErrorKind::kCorrupt, fmt::format("{}: a block is not at offset {} of {}", key, block.offset,
                                                  SegmentKey(manifest->segments[block.segment]))),
            id);
      }
      found->named |= named[i];
    }
    return {};
  }

  // Nothing for one that came or went meanwhile.
  Result<std::optional<uint32_t>> NumberOf(const std::string& id) {
    const auto [known, fresh] = number_of_.try_emplace(id);
    if (!fresh) return known->second;
    const auto bytes = bytes_of_.find(id);
    if (bytes == bytes_of_.end()) return known->second;
    const std::unique_ptr<SegmentReader> reader = TRY(IfThere(SegmentReader::Open(*core_.backend, id)));
    if (reader == nullptr) return known->second;
    LiveSegment segment{.id = id, .bytes = bytes->second, .live_bytes = 0, .blocks = {}};
    const auto number = static_cast<uint32_t>(live_.segments.size());
    for (const SegmentEntry& entry : TRY(reader->ReadIndex())) {
      const BlockNumber itself{number, static_cast<uint32_t>(segment.blocks.size())};
      segment.blocks.push_back({entry, 0, itself, {number, entry}});
    }
    live_.segments.push_back(std::move(segment));
    known->second = number;
    return known->second;
  }

  static LiveBlock* Find(LiveSegment& segment, const SegmentEntry& wanted) {
    const auto found =
        std::lower_bound(segment.blocks.begin(), segment.blocks.end(), wanted.offset,
                         [](const LiveBlock& block, uint64_t offset) { return block.entry.offset < offset; });
    return found == segment.blocks.end() || !SameBlock(found->entry, wanted) ? nullptr : &*found;
  }

  LiveBlock& At(const BlockNumber& number) { return live_.segments[number.segment].blocks[number.block]; }

  // Of several blocks with the same content, the one in the fullest segment counts: that segment is the most
  // likely to stay.
  void FindKeepers() {
    std::vector<double> fullness;
    std::vector<BlockNumber> named;
    for (const LiveSegment& segment : live_.segments) {
      uint64_t bytes = 0;
      for (const LiveBlock& block : segment.blocks) {
        if (block.named == 0) continue;
        bytes += LiveBytes(block);
        named.push_back(block.keeper);
      }
      fullness.push_back(static_cast<double>(bytes) / static_cast<double>(segment.bytes));
    }
    const auto content = [this](const BlockNumber& number) {
      const SegmentEntry& entry = At(number).entry;
      return std::tuple(entry.hash, entry.raw_bytes, entry.kept_pages);
    };
    const auto rank = [&](const BlockNumber& number) {
      return std::tuple(-fullness[number.segment], number.segment, number.block);
    };
    std::sort(named.begin(), named.end(), [&](const BlockNumber& a, const BlockNumber& b) {
      const auto left = content(a);
      const auto right = content(b);
      return left != right ? left < right : rank(a) < rank(b);
    });
    for (size_t i = 1; i < named.size(); ++i) {
      if (content(named[i - 1]) != content(named[i])) continue;
      At(named[i]).keeper = At(named[i - 1]).keeper;
      At(At(named[i]).keeper).named |= At(named[i]).named;
    }
    for (const BlockNumber& number : named) {
      const LiveBlock& block = At(number);
      if (block.keeper != number) continue;
      live_.segments[number.segment].live_bytes += LiveBytes(block);
      live_.segments[number.segment].copy_bytes_max += CopyBytesMax(block);
    }
  }

  const StoreCore& core_;
  const Progress* const progress_;
  LiveBlocks live_;
  std::unordered_map<std::string, uint64_t> bytes_of_;
  std::unordered_map<std::string, std::optional<uint32_t>> number_of_;
};

}  // namespace

uint64_t LiveBytes(const LiveBlock& block) {
  const auto kept = static_cast<uint64_t>(std::popcount(KeptPages(block.entry)));
  const auto named = static_cast<uint64_t>(std::popcount(block.named & KeptPages(block.entry)));
  return (block.entry.stored_bytes * named + kept - 1) / kept + format::kSegmentEntryBytes;
}

uint64_t CopyBytesMax(const LiveBlock& block) {
  const PageMask kept = KeptPages(block.entry);
  const bool whole = (kept & ~block.named) == 0;
  if (whole) return block.entry.stored_bytes + format::kSegmentEntryBytes;
  constexpr uint64_t kOverheadShare = 16;  // of zstd, and of what is not compressed since it gains too little
  const uint64_t raw_bytes = block.entry.raw_bytes;
  const uint64_t left = static_cast<uint64_t>(std::popcount(kept & block.named)) * kPageBytes;
  return std::min(raw_bytes, left + raw_bytes / kOverheadShare) + format::kSegmentEntryBytes;
}

uint64_t LiveBlocks::bytes() const {
  return std::accumulate(segments.begin(), segments.end(), uint64_t{0},
                         [](uint64_t sum, const LiveSegment& segment) { return sum + segment.bytes; });
}

uint64_t LiveBlocks::live_bytes() const {
  return std::accumulate(segments.begin(), segments.end(), uint64_t{0},
                         [](uint64_t sum, const LiveSegment& segment) { return sum + segment.live_bytes; });
}

Result<std::vector<std::vector<std::string>>> GroupLineages(const StoreCore& core) {
  const std::vector<std::string> lineages = TRY(core.Lineages());
  std::vector<size_t> group(lineages.size());  // of a lineage: the first one that it is joined with
  std::iota(group.begin(), group.end(), size_t{0});
  const auto first_of = [&group](size_t at) {
    while (group[at] != at) at = group[at];
    return at;
  };
  std::unordered_map<std::string, size_t> owner;
  for (size_t i = 0; i < lineages.size(); ++i) {
    for (const uint64_t version : TRY(core.Versions(lineages[i]))) {
      const SnapshotId id{lineages[i], version};
      const std::unique_ptr<Object> file = TRY(IfThere(core.backend->Open(ManifestKey(id))));
      if (file == nullptr) continue;  // removed meanwhile
      const Result<std::vector<std::string>> segments = ReadManifestSegments(*file, ManifestKey(id));
      if (!segments) return Unreadable(segments.error(), id);
      for (const std::string& segment : *segments) {
        const size_t other = first_of(owner.try_emplace(segment, i).first->second);
        const size_t own = first_of(i);
        group[std::max(other, own)] = std::min(other, own);
      }
    }
  }
  std::map<size_t, std::vector<std::string>> groups;
  for (size_t i = 0; i < lineages.size(); ++i) groups[first_of(i)].push_back(lineages[i]);
  std::vector<std::vector<std::string>> all;
  for (auto& [first, members] : groups) all.push_back(std::move(members));
  return all;
}

Result<LiveBlocks> FindLiveBlocks(const StoreCore& core, const std::vector<std::string>& lineages,
                                  const Progress* progress) {
  return Survey(core, progress).Take(lineages);
}

}  // namespace holdfast
