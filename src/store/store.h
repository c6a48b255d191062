// The store of one machine or volume: lineages of snapshots, crash-safe and shared by several processes.
//
// Ownership: a Store is a handle; any number may be open on one directory, in any number of processes.
// Thread-safe where said. Errors: kCorrupt for damage (with the file and the offset), kNoSpace, kNotFound,
// kBusy, kIo.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "store/keep_rules.h"
#include "store/manifest.h"

namespace holdfast {

struct StoreOptions {
  int zstd_level = 1;
};

class PendingSnapshot;
class BlockReader;
class StoreLock;

struct VerifyReport {
  uint64_t snapshots_checked = 0;
  uint64_t blocks_checked = 0;
  uint64_t bytes_read = 0;
  std::vector<std::string> problems;  // one sentence each, with the file and what to do
};

struct PruneReport {
  std::vector<SnapshotId> removed;
  uint64_t segments_removed = 0;
  uint64_t bytes_freed = 0;
};

// What segments hold.
struct StoreFill {
  uint64_t segments = 0;
  uint64_t bytes = 0;       // of the files
  uint64_t live_bytes = 0;  // of the blocks that snapshots name, each content once, with their index entries
};

struct CompactReport {
  StoreFill before;  // leftovers that belong to no snapshot among its bytes
  StoreFill after;
  uint64_t segments_rewritten = 0;
  uint64_t bytes_copied = 0;
  uint64_t snapshots_rewritten = 0;  // their manifests
};

class Store {
 public:
  // Opens the store, making it (0700) when the directory is missing or empty. Refuses a directory that is
  // something else, and a store of another format version.
  static Result<Store> Open(const std::filesystem::path& directory, const StoreOptions& options = {});
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  const std::filesystem::path& directory() const;
  // For the records of supervised jobs (job layer), their logs, and scratch files: made on demand, 0700.
  std::filesystem::path JobsDirectory() const;
  std::filesystem::path ScratchDirectory() const;

  // Bytes that may still be written before the file system is full.
  Result<uint64_t> BytesAvailable() const;

  // Starts a snapshot of `lineage`. Nothing is visible until Commit. Holds no lock while blocks are appended.
  // `parent`: a snapshot of the same lineage (by hash alone no other job's content is ever taken for ours);
  // what it has is not stored again. Read only in this call.
  Result<std::unique_ptr<PendingSnapshot>> Begin(const std::string& lineage,
                                                 const Manifest* parent = nullptr);

  Result<std::vector<std::string>> Lineages() const;
  // Oldest first. An unknown lineage is kNotFound, with near names in the hint. A damaged one is listed as
  // such.
  Result<std::vector<SnapshotSummary>> Snapshots(const std::string& lineage) const;
  // version 0 = the present: the newest, unless a job was restarted from an earlier one since.
  Result<SnapshotId> Resolve(const SnapshotId& id) const;
  Result<Manifest> Load(const SnapshotId& id) const;
  // Reads the blocks of `manifest`, which must outlive the reader. The reader is thread-safe. Whatever is
  // removed or compacted meanwhile, it goes on reading; the room is given back once it is gone.
  Result<std::unique_ptr<BlockReader>> OpenBlocks(const Manifest& manifest) const;

  // Sets annotations; an empty value removes the key. Atomic.
  Result<void> Annotate(const SnapshotId& id, const std::map<std::string, std::string>& annotations);
  // From now on, until the next commit, the lineage's name stands for this snapshot, however many came after
  // it. Atomic.
  Result<void> MakePresent(const SnapshotId& id);
  // These two free no segments: CollectGarbage does. The versions are never used again.
  Result<void> Remove(const SnapshotId& id);  // version must be given
  Result<void> RemoveLineage(const std::string& lineage);
  // Removes what no rule keeps (without a rule: nothing) and frees segments nothing refers to.
  Result<PruneReport> Prune(const std::string& lineage, const KeepRules& rules, bool dry_run = false);
  // Keeps the present and the newest `keep`; 0 = all.
  Result<PruneReport> Prune(const std::string& lineage, uint64_t keep, bool dry_run = false);
  // Frees segments that no snapshot refers to and leftovers of writers that are dead.
  Result<PruneReport> CollectGarbage(bool dry_run = false);
  // Frees what CollectGarbage does; then moves what is live in segments that are mostly dead, or small and
  // many, into new ones, tells the manifests, and frees the old ones. Of one lineage (and those that share
  // segments with it: clones), or of all when `lineage` is empty. Snapshots stay what they are; commits,
  // restarts and removals go on beside it. On error, also kInterrupted (`progress`), what is done stays.
  // kNoSpace: before a copy that would not fit. kBusy: somebody else compacts. A dry run changes nothing.
  Result<CompactReport> Compact(const std::string& lineage, bool dry_run = false,
                                Progress* progress = nullptr);
  // Structure and references of everything; with read_data every block is read, decompressed and its checksum
  // compared.
  Result<VerifyReport> Verify(bool read_data, Progress* progress = nullptr) const;

  // One holder per name, across processes; released by its destructor, by the holder's death, or by expiry
  // when the holder is on another host. kBusy names the holder (pid, command, since when). `wait_seconds`:
  // how long to wait for it, 0 = not at all.
  Result<StoreLock> Lock(const std::string& name, double wait_seconds = 0);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A snapshot being written. Dropping it uncommitted removes what it wrote.
class PendingSnapshot {
 public:
  virtual ~PendingSnapshot() = default;
  // Compresses and appends; identical content within this snapshot is stored once. Returns the block's index,
  // or kZeroBlock when all of it is zeros. Thread-safe, and meant to be called from as many threads as there
  // are cores. Requires: 0 < raw.size() <= limits::kBlockBytesMax.
  virtual Result<uint32_t> AppendBlock(std::span<const std::byte> raw) = 0;
  // A block of the parent that was given to Begin, which is not read for it. Returns its index here.
  virtual Result<uint32_t> ReuseBlock(const BlockRef& block) = 0;
  // A whole byte string, split into blocks.
  virtual Result<Blob> AppendBlob(std::span<const std::byte> raw) = 0;
  // Bytes appended to segments so far, after compression.
  virtual uint64_t bytes_stored() const = 0;
  // Makes the snapshot exist: segments durable, then the manifest under the next free version, one atomic
  // step. Fills in manifest.id, .segments, .blocks, figures.bytes_stored. On error nothing is left behind.
  // kBusy: the parent was removed meanwhile, and no snapshot of the lineage has what was taken from it.
  virtual Result<SnapshotId> Commit(Manifest manifest,
                                    const std::map<std::string, std::string>& annotations) = 0;
};

class BlockReader {
 public:
  virtual ~BlockReader() = default;
  // The raw bytes of block `index`, decompressed and checked against its hash. out.size() == raw_bytes.
  // kZeroBlock fills with zeros. Thread-safe.
  virtual Result<void> Read(uint32_t index, std::span<std::byte> out) const = 0;
  virtual Result<std::vector<std::byte>> ReadBlob(const Blob& blob) const = 0;
};

class StoreLock {
 public:
  StoreLock(StoreLock&&) noexcept;
  StoreLock& operator=(StoreLock&&) noexcept;
  ~StoreLock();

 private:
  friend class Store;
  struct Impl;
  explicit StoreLock(std::unique_ptr<Impl> impl);
  static Result<StoreLock> Take(int store_root, const std::string& name, double wait_seconds);
  std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
