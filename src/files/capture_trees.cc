// What lies in trees, at the freeze: names, and of each file whether it is as it was when it was stored.
#include <fmt/format.h>

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "files/capture.h"
#include "files/sidecars.h"

namespace holdfast {

// Only what may have changed is looked at now; the rest is put together in FinishTrees.
Result<void> Capture::LookAtTrees(pid_t pid) {
  if (options_.trees.empty()) return {};
  TRY(trees_.WalkFrozen(pid));
  std::set<FileKey> seen;
  std::set<std::string> open;
  for (const FrozenFile& file : frozen_) {
    seen.insert(file.tracked->found.key);
    open.insert(file.state.path);
  }
  for (const WalkedTree& tree : trees_.walked()) {
    for (const WalkedEntry& entry : tree.entries) {
      if (entry.entry.kind != TreeEntry::Kind::kFile || trees_.IsStoredAsItIs(entry)) continue;
      if (!seen.insert(entry.key).second) continue;
      const std::string path = tree.path + "/" + entry.entry.path;
      // A mapped file of an overlay may have been found under another inode.
      if (!open.contains(path)) TRY(LookAtClosed(pid, path, entry));
    }
  }
  return {};
}

Result<void> Capture::LookAtClosed(pid_t pid, const std::string& path, const WalkedEntry& entry) {
  if (const auto before = tracked_.find(entry.key); before != tracked_.end() && before->second.fd.valid()) {
    TrackedFile& file = before->second;  // has been closed since
    const bool was_mapped = file.found.mapped;
    file.found.path = path;
    file.found.append_only = file.found.mapped = file.found.read_only = false;
    return LookAt(file, false, was_mapped);
  }
  std::optional<TrackedFile> opened = TRY(TrackByName(pid, path));
  if (!opened) return {};  // somebody else has taken it away this moment
  TrackedFile& file = tracked_.insert_or_assign(opened->found.key, std::move(*opened)).first->second;
  if (const TrackedFile* const stored = trees_.Find(entry.key)) file.stored = stored->stored;
  return LookAt(file, false, false);
}

// Each file once, whatever names it has: by that under which it was looked at, or the first.
void Capture::FinishTrees() {
  std::map<FileKey, std::string> path_of;
  std::map<std::string, size_t> looked_at;  // in frozen_
  for (size_t i = 0; i < frozen_.size(); ++i) {
    path_of[frozen_[i].tracked->found.key] = frozen_[i].state.path;
    looked_at[frozen_[i].state.path] = i;
  }
  for (const WalkedTree& tree : trees_.walked()) {
    for (const WalkedEntry& entry : tree.entries) {
      if (entry.entry.kind != TreeEntry::Kind::kFile) continue;
      const std::string path = tree.path + "/" + entry.entry.path;
      if (looked_at.contains(path)) path_of[entry.key] = path;
      const auto [known, is_new] = path_of.try_emplace(entry.key, path);
      if (is_new) {
        TakeUnchanged(path, entry);
      } else if (const auto found = looked_at.find(known->second); found != looked_at.end()) {
        frozen_[found->second].state.only_if_missing = false;
      }
    }
  }
  LeaveTrees(path_of);
}

void Capture::TakeUnchanged(const std::string& path, const WalkedEntry& entry) {
  TrackedFile* const stored = trees_.Find(entry.key);
  if (stored == nullptr || !trees_.IsStoredAsItIs(entry)) return;  // was taken away from LookAtClosed
  FrozenFile& frozen = frozen_.emplace_back();
  frozen.tracked = stored;
  frozen.state.path = path;
  frozen.state.bytes = entry.times.bytes;
  frozen.state.mode = entry.entry.mode;
  frozen.state.uid = entry.entry.uid;
  frozen.state.gid = entry.entry.gid;
  frozen.state.mtime_ns = entry.times.mtime_ns;
  frozen.state.device = entry.key.device;
  frozen.state.inode = entry.key.inode;
  frozen.state.ctime_ns = entry.times.ctime_ns;
  frozen.state.content_kept = true;
  TakeStored(frozen);
}

void Capture::LeaveTrees(const std::map<FileKey, std::string>& path_of) {
  for (const WalkedTree& walked : trees_.walked()) {
    if (!walked.there) {
      warnings_.push_back(fmt::format("{} is not there: nothing of it is in the snapshot", walked.path));
      continue;
    }
    for (const std::string& mount : walked.mounts) {
      warnings_.push_back(
          fmt::format("{} is not in the snapshot: another file system is mounted there", mount));
    }
    FileTree& tree = file_trees_.emplace_back();
    tree.path = walked.path;
    for (const WalkedEntry& one : walked.entries) {
      TreeEntry& entry = tree.entries.emplace_back(one.entry);
      if (entry.kind != TreeEntry::Kind::kFile) continue;
      const std::string& path = path_of.at(one.key);
      if (path == tree.path + "/" + entry.path) continue;
      entry.kind = TreeEntry::Kind::kLink;
      entry.target = path;
    }
  }
}

}  // namespace holdfast
