// Compaction: what is live in sparse segments goes into new ones, manifests are told where, and the old
// segments are freed. In batches, each of which leaves the store as it should be. Blocks are copied without
// the gate; under it, one manifest at a time is replaced by one that differs in nothing but where its blocks
// lie, and as what, so that commits and restarts hardly wait. A segment is freed only once no manifest names
// it, whoever wrote that manifest meanwhile.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <span>

#include "base/limits.h"
#include "base/units.h"
#include "store/block_moves.h"
#include "store/compaction_plan.h"
#include "store/format.h"
#include "store/live_blocks.h"
#include "store/segment_copy.h"
#include "store/store_core.h"
#include "store/switch_manifests.h"

namespace holdfast {
namespace {

// A job with its clones.
class GroupCompaction {
 public:
  GroupCompaction(const StoreCore& core, std::vector<std::string> lineages, Progress* progress,
                  CompactReport& report)
      : core_(core), lineages_(std::move(lineages)), progress_(progress), report_(report) {}

  Result<void> Run(bool dry_run) {
    live_ = TRY(FindLiveBlocks(core_, lineages_, progress_));
    AddFill(live_, report_.before);
    chosen_ = ChooseSegments(live_);
    if (dry_run || chosen_.empty()) {
      AddForeseen();
      return {};
    }
    if (progress_ != nullptr) progress_->Phase("compact " + lineages_.front(), BytesToCopy());
    for (std::span<const uint32_t> left = chosen_; !left.empty();) {
      const size_t count = TRY(BatchSize(live_, left, TRY(core_.backend->BytesAvailable())));
      TRY(CompactBatch(left.first(count)));
      left = left.subspan(count);
    }
    AddFill(TRY(FindLiveBlocks(core_, lineages_, nullptr)), report_.after);
    return {};
  }

 private:
  static void AddFill(const LiveBlocks& live, StoreFill& fill) {
    fill.segments += live.segments.size();
    fill.bytes += live.bytes();
    fill.live_bytes += live.live_bytes();
  }

  uint64_t BytesToCopy() const {
    uint64_t bytes = 0;
    for (const uint32_t segment : chosen_) bytes += live_.segments[segment].live_bytes;
    return bytes;
  }

  // What will be there, all chosen segments being joined.
  void AddForeseen() {
    const uint64_t copied = BytesToCopy();
    const uint64_t written = (copied + limits::kSegmentBytesMax - 1) / limits::kSegmentBytesMax;
    uint64_t replaced = 0;
    for (const uint32_t segment : chosen_) replaced += live_.segments[segment].bytes;
    report_.after.segments += live_.segments.size() - chosen_.size() + written;
    report_.after.bytes += live_.bytes() - replaced + copied + written * format::kSegmentFrameBytes;
    report_.after.live_bytes += live_.live_bytes();
    report_.segments_rewritten += chosen_.size();
    report_.bytes_copied += copied;
  }

  Result<void> CompactBatch(std::span<const uint32_t> batch) {
    const uint64_t done_before = done_;
    SegmentCopy copy(core_, live_, done_, progress_);
    for (const uint32_t segment : batch) TRY(copy.Add(segment));
    TRY(copy.Seal());
    report_.snapshots_rewritten += TRY(SwitchManifests(core_, MovesOf(batch), &copy));
    report_.segments_rewritten += batch.size();
    report_.bytes_copied += done_ - done_before;
    return {};
  }

  // Where the blocks of these segments are now: copied themselves, or their content counts elsewhere.
  BlockMoves MovesOf(std::span<const uint32_t> batch) const {
    BlockMoves moves(live_.names);
    for (const uint32_t number : batch) {
      const LiveSegment& segment = live_.segments[number];
      std::vector<BlockMoves::Move> of_segment;
      for (const LiveBlock& block : segment.blocks) {
        if (block.named == 0) continue;
        const LiveBlock& keeper = live_.segments[block.keeper.segment].blocks[block.keeper.block];
        const PageMask dropped = KeptPages(keeper.entry) & ~KeptPages(keeper.now.entry);
        of_segment.push_back({block.entry.offset, keeper.now, dropped});
      }
      moves.Add(segment.id, std::move(of_segment));
    }
    return moves;
  }

  const StoreCore& core_;
  const std::vector<std::string> lineages_;
  Progress* const progress_;
  CompactReport& report_;
  LiveBlocks live_;
  std::vector<uint32_t> chosen_;
  std::atomic<uint64_t> done_ = 0;
};

Error Explained(Error error, const CompactReport& report) {
  if (error.kind == ErrorKind::kInterrupted) {
    return Fail(ErrorKind::kInterrupted,
                fmt::format("stopped; {} segments were rewritten", report.segments_rewritten))
        .WithHint("what is done stays; 'holdfast compact' goes on from there");
  }
  if (error.kind == ErrorKind::kCorrupt && error.hint.empty()) {
    return std::move(error).WithHint(
        "'holdfast verify --read-data' names the snapshots that need it; remove them, then compact");
  }
  return error;
}

// Of a dry run, what would be freed.
Result<PruneReport> FreeGarbage(const StoreCore& core, bool dry_run) {
  const StoreGate gate = TRY(StoreGate::Exclusive(core));
  return RemoveAndCollect(core, "", {}, dry_run);
}

}  // namespace

Result<CompactReport> CompactStore(const StoreCore& core, const std::string& lineage, bool dry_run,
                                   Progress* progress) {
  if (!lineage.empty() && TRY(core.Versions(lineage)).empty()) return core.NoSuchLineage(lineage);
  if (!dry_run) TRY(FinishSwitch(core));
  const PruneReport garbage = TRY(FreeGarbage(core, dry_run));
  CompactReport report;
  report.before.segments = garbage.segments_removed;
  report.before.bytes = garbage.bytes_freed;
  for (std::vector<std::string>& group : TRY(GroupLineages(core))) {
    if (!lineage.empty() && std::count(group.begin(), group.end(), lineage) == 0) continue;
    Result<void> done = GroupCompaction(core, std::move(group), progress, report).Run(dry_run);
    if (!done) return Explained(std::move(done).error(), report);
  }
  return report;
}

}  // namespace holdfast
