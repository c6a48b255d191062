// The moves are written down before the first manifest is replaced and removed after the last: else a part of
// the manifests would go on with the old blocks and a part with the new ones, and both would be kept.
#include "store/switch_manifests.h"

#include <fmt/format.h>

#include "store/format.h"
#include "store/names.h"

namespace holdfast {
namespace {

class Switch {
 public:
  Switch(const StoreCore& core, const BlockMoves& moves, SegmentCopy* copy)
      : core_(core), moves_(moves), copy_(copy) {}

  // Each manifest under a gate of its own, so that nobody waits long; then those that have come meanwhile,
  // and, before any other can come, the old segments are freed.
  Result<uint64_t> Run() {
    for (const std::string& lineage : TRY(core_.Lineages())) {
      for (const uint64_t version : TRY(core_.Versions(lineage))) {
        const SnapshotId id{lineage, version};
        if (TRY(OpenIfConcerned(id)) == nullptr) continue;
        const StoreGate gate = TRY(StoreGate::Exclusive(core_));
        TRY(SwitchManifest(id));
      }
    }
    const StoreGate gate = TRY(StoreGate::Exclusive(core_));
    for (const std::string& lineage : TRY(core_.Lineages())) {
      for (const uint64_t version : TRY(core_.Versions(lineage))) TRY(SwitchManifest({lineage, version}));
    }
    TRY(RemoveAndCollect(core_, "", {}, /*dry_run=*/false));
    return switched_;
  }

 private:
  // Null: the snapshot was removed, or has nothing in the segments that were left.
  Result<std::unique_ptr<Object>> OpenIfConcerned(const SnapshotId& id) const {
    const std::string key = ManifestKey(id);
    std::unique_ptr<Object> file = TRY(IfThere(core_.backend->Open(key)));
    if (file != nullptr && !moves_.Concern(TRY(ReadManifestSegments(*file, key)))) file.reset();
    return file;
  }

  // Requires: the gate is held exclusively.
  Result<void> SwitchManifest(const SnapshotId& id) {
    const std::string key = ManifestKey(id);
    const std::unique_ptr<Object> file = TRY(OpenIfConcerned(id));
    if (file == nullptr) return {};
    Manifest manifest = TRY(ReadManifest(*file, key));
    const std::set<std::string> targets = moves_.Apply(manifest);
    if (targets.empty()) return {};  // what it names there was dropped: it keeps what it has
    for (const std::string& target : targets) {
      if (copy_ != nullptr) TRY(copy_->Publish(target));
      // It was freed since, with all snapshots that named it: this one keeps what it has.
      if (TRY(IfThere(core_.backend->Open(SegmentKey(target)))) == nullptr) return {};
    }
    const EncodedManifest encoded =
        TRY(EncodedManifest::Moved(*file, key, manifest, core_.options.zstd_level));
    TRY(core_.backend->Replace(key, encoded.bytes()));
    ++switched_;
    return {};
  }

  const StoreCore& core_;
  const BlockMoves& moves_;
  SegmentCopy* const copy_;
  uint64_t switched_ = 0;
};

const std::string& MovesKey() {
  static const std::string key(format::kMovesFile);
  return key;
}

}  // namespace

Result<uint64_t> SwitchManifests(const StoreCore& core, const BlockMoves& moves, SegmentCopy* copy) {
  TRY(core.backend->Replace(MovesKey(), AsBytes(moves.Encode())));
  const uint64_t switched = TRY(Switch(core, moves, copy).Run());
  TRY(core.backend->Delete(MovesKey()));
  return switched;
}

Result<void> FinishSwitch(const StoreCore& core) {
  const std::unique_ptr<Object> file = TRY(IfThere(core.backend->Open(MovesKey())));
  if (file == nullptr) return {};
  const uint64_t bytes = file->bytes();
  if (bytes <= format::kMovesBytesMax) {
    std::string text(bytes, '\0');
    TRY(file->ReadAt(0, std::as_writable_bytes(std::span(text))));
    const Result<BlockMoves> moves = BlockMoves::Decode(text);
    // Damaged ones are of no use, and nothing depends on them.
    if (moves) TRY(Switch(core, *moves, nullptr).Run());
  }
  return core.backend->Delete(MovesKey());
}

}  // namespace holdfast
