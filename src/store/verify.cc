// Finding damage. First the structure, with the gate held shared so that nothing is removed meanwhile; then,
// when asked, every block, without the gate, because that takes as long as reading the disk does.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/limits.h"
#include "store/format.h"
#include "store/names.h"
#include "store/present.h"
#include "store/segment.h"
#include "store/store_core.h"

namespace holdfast {
namespace {

constexpr size_t kProblemsMax = 1000;
constexpr size_t kUsersNamedMax = 5;
constexpr size_t kBlocksPerThreadMin = 16;

// A segment that at least one manifest names.
struct SegmentState {
  std::vector<SnapshotId> users;
  uint64_t bytes = 0;
  bool usable = false;
};

class Verifier {
 public:
  Verifier(const StoreCore& core, bool read_data, Progress* progress)
      : core_(core), read_data_(read_data), progress_(progress) {}

  Result<VerifyReport> Run() {
    {
      const StoreGate gate = TRY(StoreGate::Shared(core_));
      TRY(CheckStructure());
    }
    if (read_data_) TRY(ReadSegments());
    if (problems_dropped_ > 0) {
      report_.problems.push_back(fmt::format("{} more problems are not listed", problems_dropped_));
    }
    return std::move(report_);
  }

 private:
  void Problem(std::string sentence) {
    const std::lock_guard lock(problems_mutex_);
    if (report_.problems.size() < kProblemsMax) {
      report_.problems.push_back(std::move(sentence));
    } else {
      ++problems_dropped_;
    }
  }

  static std::string Users(const SegmentState& state) {
    std::vector<std::string> names;
    for (size_t i = 0; i < state.users.size() && i < kUsersNamedMax; ++i)
      names.push_back(state.users[i].ToString());
    if (state.users.size() > kUsersNamedMax)
      names.push_back(fmt::format("{} more", state.users.size() - kUsersNamedMax));
    return fmt::format("{}", fmt::join(names, ", "));
  }

  Result<void> CheckStructure() {
    // Folders first: what has a lineage's name must be a folder, or its snapshots would be overlooked.
    for (const ObjectInfo& object : TRY(core_.backend->List(std::string(format::kSnapshotFolder)))) {
      if (ValidateLineageName(object.name)) {
        Problem(fmt::format("{}{} is not a folder: put the lineage's folder back in its place or remove it",
                            format::kSnapshotFolder, object.name));
      }
    }
    for (const std::string& lineage : TRY(core_.Lineages(/*all=*/true))) {
      const std::vector<uint64_t> versions = TRY(core_.Versions(lineage));
      for (const uint64_t version : versions) TRY(CheckSnapshot({lineage, version}));
      CheckPresent(lineage, versions);
      for (const uint64_t version : TRY(core_.LostVersions(lineage))) {
        const SnapshotId id{lineage, version};
        Problem(
            fmt::format("{} is gone: {} cannot be restarted; put the file back, or remove what is left with "
                        "holdfast rm {}",
                        ManifestKey(id), id.ToString(), id.ToString()));
      }
    }
    return {};
  }

  void CheckPresent(const std::string& lineage, const std::vector<uint64_t>& versions) {
    if (versions.empty()) return;
    const Result<uint64_t> present = PresentVersion(core_, lineage, versions);
    if (!present) Problem(fmt::format("{}: {}", present.error().message, present.error().hint));
  }

  Result<void> CheckSnapshot(const SnapshotId& id) {
    ++report_.snapshots_checked;
    const std::string key = ManifestKey(id);
    Result<Manifest> manifest = LoadManifest(id, key);
    if (!manifest) {
      if (manifest.error().kind != ErrorKind::kCorrupt) return std::move(manifest).error();
      Problem(fmt::format("{}: it cannot be restarted; remove {} or put the file back",
                          manifest.error().message, id.ToString()));
      return {};
    }
    const Result<Annotations> annotations = core_.AnnotationsOf(id, {});
    if (!annotations) {
      Problem(fmt::format("{}: only notes are lost; annotate {} anew after removing the file",
                          annotations.error().message, id.ToString()));
    }
    std::vector<const std::vector<SegmentEntry>*> indexes;
    std::unordered_map<std::string, std::vector<SegmentEntry>> kept;
    for (const std::string& segment : manifest->segments) {
      if (const auto cached = indexes_.find(segment); cached != indexes_.end()) {
        kept.emplace(segment, std::move(cached->second));
      } else if (!kept.contains(segment)) {
        kept.emplace(segment, CheckSegment(segment, id));
      }
      states_[segment].users.push_back(id);
    }
    indexes_ = std::move(kept);  // the next snapshot may need the same; older ones are not kept
    for (const std::string& segment : manifest->segments) indexes.push_back(&indexes_.at(segment));
    CheckBlocks(*manifest, key, indexes);
    return {};
  }

  Result<Manifest> LoadManifest(const SnapshotId& id, const std::string& key) const {
    const std::unique_ptr<Object> file = TRY(core_.OpenManifest(id));
    Manifest manifest = TRY(ReadManifest(*file, key));
    if (manifest.id != id)
      return Fail(ErrorKind::kCorrupt, fmt::format("{} holds {}", key, manifest.id.ToString()));
    report_.bytes_read += file->bytes();
    return manifest;
  }

  // The index, empty when the segment is damaged. Counts and reports a segment once.
  std::vector<SegmentEntry> CheckSegment(const std::string& id, const SnapshotId& user) {
    const bool first_time = !states_.contains(id);
    SegmentState& state = states_[id];
    Result<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(*core_.backend, id);
    Result<std::vector<SegmentEntry>> index =
        segment ? (*segment)->ReadIndex() : Result<std::vector<SegmentEntry>>(segment.error());
    if (!index) {
      if (first_time) {
        Problem(fmt::format("{}: {} needs it; put the file back or remove the snapshot",
                            index.error().message, user.ToString()));
      }
      return {};
    }
    state.usable = true;
    state.bytes = (*segment)->bytes();
    if (first_time) {
      report_.blocks_checked += index->size();
      bytes_total_ += state.bytes;
      if (!read_data_) report_.bytes_read += index->size() * format::kSegmentEntryBytes;
    }
    return *std::move(index);
  }

  void CheckBlocks(const Manifest& manifest, const std::string& key,
                   const std::vector<const std::vector<SegmentEntry>*>& indexes) {
    for (size_t i = 0; i < manifest.blocks.size(); ++i) {
      const BlockRef& block = manifest.blocks[i];
      const std::string& segment = manifest.segments[block.segment];
      if (!states_[segment].usable) continue;  // reported as a whole
      const SegmentEntry wanted = EntryOf(block);
      const std::vector<SegmentEntry>& index = *indexes[block.segment];
      const auto found =
          std::lower_bound(index.begin(), index.end(), wanted.offset,
                           [](const SegmentEntry& entry, uint64_t offset) { return entry.offset < offset; });
      if (found == index.end() || !SameBlock(*found, wanted)) {
        Problem(fmt::format("{}: block {} is not at offset {} of {}: {} cannot be restarted", key, i,
                            block.offset, SegmentKey(segment), manifest.id.ToString()));
      }
    }
  }

  Result<void> ReadSegments() {
    if (progress_ != nullptr) progress_->Phase("verify", bytes_total_);
    for (const auto& [id, state] : states_) {
      if (state.usable) TRY(ReadSegment(id, state));
    }
    report_.bytes_read += bytes_read_;
    return {};
  }

  Result<void> ReadSegment(const std::string& id, const SegmentState& state) {
    Result<std::unique_ptr<SegmentReader>> segment = SegmentReader::Open(*core_.backend, id);
    if (!segment && segment.error().kind == ErrorKind::kNotFound) return CheckNobodyNeeds(id, state);
    Result<std::vector<SegmentEntry>> index =
        segment ? (*segment)->ReadIndex() : Result<std::vector<SegmentEntry>>(segment.error());
    if (!index) {
      Problem(fmt::format("{}: needed by {}", index.error().message, Users(state)));
      return {};
    }
    std::atomic<size_t> next = 0;
    const auto work = [&] {
      std::vector<std::byte> buffer(limits::kBlockBytesMax);
      for (size_t i = next++; i < index->size(); i = next++) {
        const SegmentEntry& entry = (*index)[i];
        const Result<void> read = (*segment)->ReadBlock(entry, std::span(buffer).first(entry.raw_bytes));
        if (!read) {
          Problem(fmt::format("{}: needed by {}; remove what you cannot put back", read.error().message,
                              Users(state)));
        }
        const uint64_t done = bytes_read_.fetch_add(entry.stored_bytes) + entry.stored_bytes;
        if (progress_ != nullptr) progress_->Advance(done);
      }
    };
    const size_t threads = std::clamp<size_t>(index->size() / kBlocksPerThreadMin, 1,
                                              std::max(1U, std::thread::hardware_concurrency()));
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back(work);
    work();
    return {};
  }

  // The segment went after the structure was checked: right if its snapshots went too, or name others now,
  // because a compaction has moved (and checked) the blocks.
  Result<void> CheckNobodyNeeds(const std::string& id, const SegmentState& state) {
    const StoreGate gate = TRY(StoreGate::Shared(core_));
    for (const SnapshotId& user : state.users) {
      const Result<std::unique_ptr<Object>> manifest = core_.OpenManifest(user);
      if (!manifest) continue;
      const Result<std::vector<std::string>> needed = ReadManifestSegments(**manifest, ManifestKey(user));
      if (needed && std::count(needed->begin(), needed->end(), id) == 0) continue;
      Problem(fmt::format("{} has vanished; {} needs it", SegmentKey(id), user.ToString()));
    }
    return {};
  }

  const StoreCore& core_;
  const bool read_data_;
  Progress* const progress_;
  mutable VerifyReport report_;
  std::mutex problems_mutex_;
  uint64_t problems_dropped_ = 0;
  std::unordered_map<std::string, SegmentState> states_;
  std::unordered_map<std::string, std::vector<SegmentEntry>> indexes_;
  uint64_t bytes_total_ = 0;
  std::atomic<uint64_t> bytes_read_ = 0;
};

}  // namespace

Result<VerifyReport> VerifyStore(const StoreCore& core, bool read_data, Progress* progress) {
  return Verifier(core, read_data, progress).Run();
}

}  // namespace holdfast
