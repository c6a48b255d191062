// A tree on its way back: first the names that hold no file content, then, when the files are there, links
// and what must come last.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "files/tree_walk.h"
#include "store/manifest.h"

namespace holdfast {

// Those of a snapshot, by their paths.
using FileStates = std::map<std::string_view, const FileState*>;

class TreeReturn {
 public:
  // `root`: the directory below which all paths are. References outlive this.
  TreeReturn(const FileTree& tree, const FileStates& files, const Fd& root,
             std::vector<std::string>& sentences)
      : tree_(tree), files_(files), root_(root), sentences_(sentences) {}

  // Looks at what is there now and refuses what cannot be put back; changes nothing.
  Result<void> Check();
  // Requires: Check. Removes what was not there, or was something else; makes directories, symbolic links and
  // fifos. A name of a file is left alone when it leads to a regular file that is to be put back in place:
  // one that is no hard link of another file of the tree, and none to the outside that it was not before. So
  // is one whose content the snapshot does not hold, and all that is where there was a socket, a device or a
  // mount.
  Result<void> PutNames();
  // Requires: the files are there. Hard links, attributes, modes, owners, times.
  Result<void> Complete();

 private:
  struct FileNames;
  Result<void> CheckTop() const;
  Result<void> CheckMounts() const;
  Result<void> FindOthers();
  Result<void> TakeNotKept(const WalkedEntry& one, const TreeEntry& wanted, FileNames& names) const;
  bool Fits(const WalkedEntry& one, const TreeEntry& wanted, FileNames& names) const;
  Result<void> Remove(const WalkedEntry& one);
  Result<void> Make(const TreeEntry& entry);
  Result<void> Link(const TreeEntry& entry);
  Result<void> PutAttributes(const TreeEntry& entry, const std::string& path,
                             std::vector<std::string>& done) const;
  Result<void> PutStatus(const TreeEntry& entry);
  Result<void> PutMode(const TreeEntry& entry) const;
  std::string Shown(const std::string& path) const {
    return path.empty() ? tree_.path : tree_.path + "/" + path;
  }
  // The path of the FileState that a name of a file leads to.
  std::string FileOf(const TreeEntry& entry) const;
  const FileState* StateOf(const TreeEntry& entry) const;
  // What stood at `path`, or else at the nearest of the directories above it.
  const TreeEntry* NearestWanted(std::string path) const;
  FileNames CountNames() const;

  const FileTree& tree_;
  const FileStates& files_;
  const Fd& root_;
  Fd top_;  // the tree's directory
  std::vector<std::string>& sentences_;
  std::map<std::string, const TreeEntry*> wanted_;
  WalkedTree now_;
  std::vector<size_t> others_;  // of now_'s entries, those that must go
};

}  // namespace holdfast
