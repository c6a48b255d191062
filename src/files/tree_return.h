// A tree on its way back: first the names that hold no file content, then, when the files are there, links
// and what must come last.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "files/tree_walk.h"
#include "store/manifest.h"

namespace holdfast {

class TreeReturn {
 public:
  // `root`: the directory below which all paths are. References outlive this.
  TreeReturn(const FileTree& tree, const Fd& root, std::vector<std::string>& sentences)
      : tree_(tree), root_(root), sentences_(sentences) {}

  // Whether anything in the way of the tree itself must be refused; changes nothing.
  Result<void> Check() const;
  // Removes what was not there, or was something else; makes directories, symbolic links and fifos. A name of
  // a file is left alone when it leads to a regular file that is to be put back in place: one that is no hard
  // link of another file of the tree, and none to the outside that it was not before.
  Result<void> PutNames();
  // Requires: the files are there. Hard links, attributes, modes, owners, times.
  Result<void> Complete();

 private:
  Result<void> RemoveOthers();
  Result<void> Remove(const WalkedEntry& one);
  Result<void> Make(const TreeEntry& entry);
  Result<void> Link(const TreeEntry& entry);
  Result<void> PutAttributes(const TreeEntry& entry, const std::string& path,
                             std::vector<std::string>& done) const;
  Result<void> PutStatus(const TreeEntry& entry);
  std::string Shown(const std::string& path) const {
    return path.empty() ? tree_.path : tree_.path + "/" + path;
  }
  // The path of the FileState that a name of a file leads to.
  std::string FileOf(const TreeEntry& entry) const;
  std::map<std::string, uint64_t> OutsideLinks() const;

  const FileTree& tree_;
  const Fd& root_;
  Fd top_;  // the tree's directory
  std::vector<std::string>& sentences_;
  std::map<std::string, const TreeEntry*> wanted_;
};

}  // namespace holdfast
