#include "files/tree_capture.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/parallel.h"
#include "files/file_times.h"
#include "files/sidecars.h"

namespace holdfast {
namespace {

constexpr size_t kFilesOpenMax = 512;

}  // namespace

Result<std::vector<WalkedTree>> TreeCapture::Walk(pid_t pid) const {
  const std::string root_path = fmt::format("/proc/{}/root", pid);
  const Fd root(::open(root_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return FailErrno("cannot open " + root_path);
  std::vector<WalkedTree> walked;
  for (size_t i = 0; i < paths_.size(); ++i) {
    const WalkedTree* const before = i < walked_.size() ? &walked_[i] : nullptr;
    walked.push_back(TRY(WalkTree(root, paths_[i], before, walked_ns_)));
  }
  return walked;
}

Result<void> TreeCapture::StoreRunning(pid_t pid, const std::set<FileKey>& written, int64_t began_ns) {
  if (paths_.empty()) return {};
  const int64_t walk_began_ns = RealTimeNs();
  walked_ = TRY(Walk(pid));
  walked_ns_ = walk_began_ns;
  std::set<FileKey> seen;
  std::vector<std::string> batch;
  for (const WalkedTree& tree : walked_) {
    for (const WalkedEntry& entry : tree.entries) {
      const bool wanted = entry.entry.kind == TreeEntry::Kind::kFile && entry.times.bytes <= file_bytes_max_;
      if (!wanted || written.contains(entry.key) || IsStoredAsItIs(entry)) continue;
      if (!seen.insert(entry.key).second) continue;
      std::string path = tree.path + "/" + entry.entry.path;
      if (TRY(TakeOver(path, entry, began_ns))) continue;
      batch.push_back(std::move(path));
      if (batch.size() < kFilesOpenMax) continue;
      TRY(StoreBatch(pid, batch, written, began_ns));
      batch.clear();
    }
  }
  return StoreBatch(pid, batch, written, began_ns);
}

bool TreeCapture::IsStoredAsItIs(const WalkedEntry& entry) const {
  const auto known = files_.find(entry.key);
  return known != files_.end() && known->second.settled && known->second.times == entry.times &&
         known->second.IsWhollyStored();
}

// Without opening it. Nobody is writing to it.
Result<bool> TreeCapture::TakeOver(const std::string& path, const WalkedEntry& entry, int64_t began_ns) {
  TrackedFile file;
  file.found.path = path;
  file.found.key = entry.key;
  file.times = entry.times;
  file.times_tell = true;  // or they would not be in the parent
  file.settled = entry.times.ctime_ns < began_ns - kTickNs;
  if (!file.settled || !TRY(parent_.TakeOver(file))) return false;
  files_.insert_or_assign(entry.key, std::move(file));
  return true;
}

Result<void> TreeCapture::StoreBatch(pid_t pid, const std::vector<std::string>& batch,
                                     const std::set<FileKey>& written, int64_t began_ns) {
  std::vector<TrackedFile*> files;
  std::vector<BlockRange> ranges;
  std::set<FileKey> taken;  // a file may have been given another name of these meanwhile
  for (const std::string& path : batch) {
    std::optional<TrackedFile> opened = TRY(TrackByName(pid, path));
    if (!opened || !opened->fd.valid() || opened->times.bytes > file_bytes_max_) continue;
    if (!taken.insert(opened->found.key).second) continue;
    // Nobody was writing to it, so whoever writes to it later changes its times.
    opened->settled = opened->times_tell && !written.contains(opened->found.key) &&
                      opened->times.ctime_ns < began_ns - kTickNs;
    TrackedFile& file = files_.insert_or_assign(opened->found.key, std::move(*opened)).first->second;
    file.stored.resize(FileBlockCount(file.times.bytes));
    AppendBlockRanges(files.size(), file.times.bytes, ranges);
    files.push_back(&file);
  }
  TRY(ParallelFor(ranges.size(),
                  [&](size_t i) { return StoreBlocks(pending_, *files[ranges[i].file], ranges[i]); }));
  for (TrackedFile* const file : files) file->fd.Reset();
  return {};
}

Result<void> TreeCapture::WalkFrozen(pid_t pid) {
  if (paths_.empty()) return {};
  walked_ = TRY(Walk(pid));
  return {};
}

TrackedFile* TreeCapture::Find(const FileKey& key) {
  const auto known = files_.find(key);
  return known == files_.end() ? nullptr : &known->second;
}

}  // namespace holdfast
