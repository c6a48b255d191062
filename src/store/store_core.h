// What the parts of the store share: the open directory, its backend, and where things are in it.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "store/backend.h"
#include "store/manifest.h"
#include "store/manifest_codec.h"
#include "store/store.h"

namespace holdfast {

struct StoreCore {
  std::filesystem::path directory;  // absolute
  Fd root;
  std::unique_ptr<Backend> backend;
  StoreOptions options;

  // Lineages that have snapshots, sorted; `all`: also those whose snapshots were all removed.
  Result<std::vector<std::string>> Lineages(bool all = false) const;
  // The committed versions, ascending; empty when there are none.
  Result<std::vector<uint64_t>> Versions(const std::string& lineage) const;
  // Versions that were committed and whose manifests are gone though nobody removed them, ascending.
  Result<std::vector<uint64_t>> LostVersions(const std::string& lineage) const;
  // The highest version that was ever used; 0 when none was.
  Result<uint64_t> HighWater(const std::string& lineage) const;
  // kNotFound with what there is instead.
  Result<std::unique_ptr<Object>> OpenManifest(const SnapshotId& id) const;
  // The annotations that were set after the commit, or else `at_commit`.
  Result<Annotations> AnnotationsOf(const SnapshotId& id, Annotations at_commit) const;
  Error NoSuchLineage(const std::string& lineage) const;
  Error NoSuchSnapshot(const SnapshotId& id, const std::vector<uint64_t>& versions) const;
};

// Opens the directory as a store, making it one when it is missing or empty. store_directory.cc.
Result<std::shared_ptr<StoreCore>> OpenStoreDirectory(const std::filesystem::path& directory,
                                                      const StoreOptions& options);

// Keeps commits and removals apart: see "Commit and garbage" in docs/store-format.md. Held until destroyed.
class StoreGate {
 public:
  static Result<StoreGate> Shared(const StoreCore& core);
  static Result<StoreGate> Exclusive(const StoreCore& core);

 private:
  explicit StoreGate(Fd fd) : fd_(std::move(fd)) {}
  static Result<StoreGate> Take(const StoreCore& core, int operation);
  Fd fd_;
};

std::unique_ptr<PendingSnapshot> MakePendingSnapshot(std::shared_ptr<StoreCore> core, std::string lineage,
                                                     const Manifest* parent);
Result<std::unique_ptr<BlockReader>> MakeBlockReader(const StoreCore& core, const Manifest& manifest);
Result<VerifyReport> VerifyStore(const StoreCore& core, bool read_data, Progress* progress);
// Removes `versions` of the lineage, then everything that no snapshot needs. Refuses before the first change.
Result<PruneReport> RemoveAndCollect(const StoreCore& core, const std::string& lineage,
                                     const std::vector<uint64_t>& versions, bool dry_run);
// compact.cc. Requires: nobody else compacts.
Result<CompactReport> CompactStore(const StoreCore& core, const std::string& lineage, bool dry_run,
                                   Progress* progress);
// Removes versions and nothing else. Requires: the gate is held exclusively.
Result<void> RemoveVersions(const StoreCore& core, const std::string& lineage,
                            const std::vector<uint64_t>& versions);

}  // namespace holdfast
