// A clone's first snapshot: another name for what an earlier one holds.
#include "base/clock.h"
#include "engine/engine.h"
#include "store/manifest_blocks.h"

namespace holdfast {

Result<SnapshotId> CloneSnapshot(Store& store, const Manifest& original, const std::string& lineage) {
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage, &original));
  std::vector<uint32_t> place;
  for (const BlockRef& block : original.blocks) place.push_back(TRY(pending->ReuseBlock(block)));
  Manifest clone = original;
  MoveBlocks(clone, place);
  clone.parent = original.id;
  clone.kind = SnapshotKind::kDelta;
  clone.created_ms = WallClockMs();
  clone.figures = CheckpointFigures{};  // nothing was captured
  clone.figures.bytes_captured = original.figures.bytes_captured;
  clone.figures.capture = "none";
  clone.figures.capture_reason = "a clone of " + original.id.ToString();
  clone.engine_facts[kPrivateFilesFact] = "1";
  std::map<std::string, std::string> annotations;
  for (const SnapshotSummary& summary : TRY(store.Snapshots(original.id.lineage))) {
    if (summary.id == original.id) annotations = summary.annotations;
  }
  return pending->Commit(clone, annotations);
}

bool HasPrivateFiles(const Manifest& manifest) {
  return manifest.engine_facts.contains(kPrivateFilesFact);
}

}  // namespace holdfast
