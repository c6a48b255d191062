// A clone's first snapshot: another name for what an earlier one holds.
#include <span>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/network_use.h"
#include "engine/snapshot_images.h"
#include "store/manifest_blocks.h"

namespace holdfast {

namespace {

Result<void> CloseOutsideConnections(const Store& store, const Manifest& original, PendingSnapshot& pending,
                                     Manifest& clone) {
  const std::unique_ptr<BlockReader> blocks = TRY(store.OpenBlocks(original));
  const std::string before = TRY(ReadFilesImage(original, *blocks));
  const std::string after = TRY(WithoutOutsideConnections(before));
  if (after == before) return {};
  for (ImageFile& image : clone.images) {
    if (image.name == kFilesImage) image.content = TRY(pending.AppendBlob(std::as_bytes(std::span(after))));
  }
  return {};
}

}  // namespace

Result<SnapshotId> CloneSnapshot(Store& store, const Manifest& original, const std::string& lineage,
                                 bool private_network) {
  const std::unique_ptr<PendingSnapshot> pending = TRY(store.Begin(lineage, &original));
  std::vector<uint32_t> place;
  for (const BlockRef& block : original.blocks) place.push_back(TRY(pending->ReuseBlock(block)));
  Manifest clone = original;
  MoveBlocks(clone, place);
  TRY(CloseOutsideConnections(store, original, *pending, clone));
  clone.parent = original.id;
  clone.kind = SnapshotKind::kDelta;
  clone.created_ms = WallClockMs();
  clone.figures = CheckpointFigures{};  // nothing was captured
  clone.figures.bytes_captured = original.figures.bytes_captured;
  clone.figures.capture = "none";
  clone.figures.capture_reason = "a clone of " + original.id.ToString();
  clone.engine_facts[kPrivateFilesFact] = "1";
  clone.engine_facts.erase(kPrivateNetworkFact);
  if (private_network) clone.engine_facts[kPrivateNetworkFact] = "1";
  std::map<std::string, std::string> annotations;
  for (const SnapshotSummary& summary : TRY(store.Snapshots(original.id.lineage))) {
    if (summary.id == original.id) annotations = summary.annotations;
  }
  return pending->Commit(clone, annotations);
}

bool HasPrivateFiles(const Manifest& manifest) {
  return manifest.engine_facts.contains(kPrivateFilesFact);
}

bool HasPrivateNetwork(const Manifest& manifest) {
  return manifest.engine_facts.contains(kPrivateNetworkFact);
}

}  // namespace holdfast
